package master

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// follow opens a stream and returns a channel of its lines.
func (r *running) follow(query string) *bufio.Scanner {
	r.t.Helper()
	resp, err := r.client.Get("http://prefork/v1/stream" + query)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatalf("stream: %s, %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	return bufio.NewScanner(resp.Body)
}

// reads waits until a line contains text.
func reads(t *testing.T, lines *bufio.Scanner, text string) string {
	t.Helper()
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return lines.Text()
		}
	}
	t.Fatalf("the stream ended before %q: %v", text, lines.Err())
	return ""
}

func TestAStreamSendsLogLinesAndStatus(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	s := r.serves(1)
	lines := r.follow("")
	reads(t, lines, "event: status")
	var status Status
	data := strings.TrimPrefix(reads(t, lines, "data: "), "data: ")
	if err := json.Unmarshal([]byte(data), &status); err != nil || status.PID != s.PID {
		t.Fatalf("status %s, %v", data, err)
	}
	reads(t, lines, `"message":"listening"`) // logged before the stream began
	if err := unix.Kill(s.Workers[0].PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	reads(t, lines, `"message":"worker exited"`)

	es, err := r.master.Events(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	late := r.follow("?after=" + jsonText(t, es[len(es)-1].Seq-1))
	if line := reads(t, late, "id: "); line != "id: "+jsonText(t, es[len(es)-1].Seq) {
		t.Errorf("the first line of a client that missed one event is %q", line)
	}

	r.stop()
	reads(t, lines, `"message":"stopped"`)
	for lines.Scan() { // until its end, which is not an error
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream ended with %v", err)
	}
	if err := r.wait(); err != nil {
		t.Error(err)
	}
	if es, err := r.master.Events(t.Context(), 1<<40); !errors.Is(err, ErrStopped) {
		t.Errorf("after the end there are %v, %v", es, err)
	}
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAStreamFromNowhereIsRefused(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	r.serves(1)
	resp, err := r.client.Get("http://prefork/v1/stream?after=yesterday")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("answered %s", resp.Status)
	}
}

func TestStreamsAreLimited(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	r.serves(1)
	r.master.streams.Store(maxStreams)
	resp, err := r.client.Get("http://prefork/v1/stream")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one too many was answered %s", resp.Status)
	}
	r.master.streams.Store(0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.master.Events(ctx, 1<<40); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that was given up returned %v", err)
	}
}
