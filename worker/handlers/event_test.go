package handlers

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"prefork/worker"
)

// twin serves one handler in one mode, a connection at a time.
type twin struct {
	address string
	conns   chan *worker.Conn
	failed  chan error
}

func startTwin(t *testing.T, mode worker.Mode, h worker.Handler, e worker.EventHandler) *twin {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &twin{address: l.Addr().String(), conns: make(chan *worker.Conn, 1), failed: make(chan error, 1)}
	a, err := worker.ServeAlone(worker.Config{Mode: mode}, worker.Options{
		Handler:      h,
		EventHandler: e,
		Hooks: worker.Hooks{
			VerifyRequest: func(c *worker.Conn) bool { w.conns <- c; return true },
			HandleError:   func(_ context.Context, _ *worker.Conn, err error) { w.failed <- err },
		},
	}, []worker.Listener{{Name: "test", FD: fdOf(t, l)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Stop()
		<-a.Done()
		_ = l.Close()
		if err := a.Err(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// exchange sends the pieces one after the other, each when the one before it has been
// read, and half-closes. It describes all that a client and the status could see.
func (w *twin) exchange(t *testing.T, pieces []string) string {
	t.Helper()
	client, err := net.Dial("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.SetDeadline(time.Now().Add(testPatience)); err != nil {
		t.Fatal(err)
	}
	conn := <-w.conns
	answered := make(chan struct{})
	var answer []byte
	var readErr error
	go func() {
		defer close(answered)
		answer, readErr = io.ReadAll(client)
	}()
	sent := 0
	for _, piece := range pieces {
		n, err := io.WriteString(client, piece)
		if sent += n; err != nil || !hasRead(conn, sent, answered) {
			break // it was refused
		}
	}
	_ = client.(*net.TCPConn).CloseWrite()
	<-answered
	outcome := fmt.Sprintf("read %d", sent)
	select {
	case err := <-w.failed:
		outcome = "failed: " + err.Error()
	default:
	}
	return fmt.Sprintf("%q, %v; %s, wrote %d", answer, readErr, outcome, conn.BytesOut())
}

// hasRead waits until the worker has read n bytes. It returns false if the connection
// has ended before.
func hasRead(c *worker.Conn, n int, ended <-chan struct{}) bool {
	tick := time.NewTicker(50 * time.Microsecond)
	defer tick.Stop()
	for c.BytesIn() < uint64(n) {
		select {
		case <-ended:
			return false
		case <-tick.C:
		}
	}
	return true
}

// pieces cuts s at random.
func pieces(r *rand.Rand, s string) (all []string) {
	for s != "" {
		n := 1 + r.IntN(min(len(s), 1+r.IntN(len(s))))
		all = append(all, s[:n])
		s = s[n:]
	}
	return all
}

// Each handler must answer the same in mode event as in mode threading, however its
// input arrives.
func TestHandlersAnswerTheSameInBothModes(t *testing.T) {
	const maxLine = 10
	fixed := []string{
		"", "\n", "hello\n", "hello\r\n", "a\n\nb\n", "no end", "a\nno end",
		"0123456789\n", "0123456789", "0123456789x", "0123456789x\n", "a\n0123456789x\nb\n",
		"ümläut \xff\x00\n", strings.Repeat("line\n", 500), strings.Repeat("x", 200_000), strings.Repeat("many\n", 40_000),
	}
	for name, both := range map[string]struct {
		threading worker.Handler
		event     worker.EventHandler
	}{
		"upper":   {Upper(maxLine), EventUpper(maxLine)},
		"echo":    {worker.HandlerFunc(Echo), EventEcho()},
		"discard": {worker.HandlerFunc(Discard), EventDiscard()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, 2))
			inputs := slices.Clone(fixed)
			for range 100 {
				var b strings.Builder
				for range r.IntN(40) {
					b.WriteByte("abcdef\n\r"[r.IntN(8)])
				}
				inputs = append(inputs, b.String())
			}
			threading := startTwin(t, worker.Threading, both.threading, nil)
			event := startTwin(t, worker.Event, nil, both.event)
			for _, input := range inputs {
				cut := []string{input}
				if len(input) < 5000 {
					cut = pieces(r, input)
				}
				want, got := threading.exchange(t, cut), event.exchange(t, cut)
				if got != want {
					t.Errorf("%.200q\nmode event:     %.300s\nmode threading: %.300s", cut, got, want)
				}
			}
		})
	}
}

func TestEventUpperAnswersALongLineInPieces(t *testing.T) {
	const size = 50_000
	w := startTwin(t, worker.Event, nil, EventUpper(size))
	line := strings.Repeat("x", size)
	cut := []string{line[:10], line[10:20_000], line[20_000:49_999], line[49_999:] + "\n", "y\nz", "z"}
	want := fmt.Sprintf("%q, <nil>; read %d, wrote %d", strings.ToUpper(line)+"\nY\nZZ", size+5, size+5)
	if got := w.exchange(t, cut); got != want {
		t.Errorf("%.100s, want %.100s", got, want)
	}
	// The part that was searched is not searched again.
	var c worker.Conn
	if n, err := EventUpper(size).Data(&c, []byte(line[:20_000]), false); n != 0 || err != nil || searched(&c) != 20_000 {
		t.Errorf("a part of a line: consumed %d, %v; searched %d", n, err, searched(&c))
	}
	if n, err := EventUpper(size).Data(&c, []byte(line[:30_000]), false); n != 0 || err != nil || searched(&c) != 30_000 {
		t.Errorf("a longer part: consumed %d, %v; searched %d", n, err, searched(&c))
	}
}

// BenchmarkALongLineInPieces measures a line of 16 MiB, which arrives in pieces of
// 64 KiB at most.
func BenchmarkALongLineInPieces(b *testing.B) {
	const size = 16 << 20
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	a, err := worker.ServeAlone(worker.Config{Mode: worker.Event, MaxMessage: size, MaxUnsent: 2 * size},
		worker.Options{EventHandler: EventUpper(size)}, []worker.Listener{{Name: "test", FD: fdOf(b, l)}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		a.Stop()
		<-a.Done()
		_ = l.Close()
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	line, answer := []byte(strings.Repeat("x", size-1)+"\n"), make([]byte, size)
	b.SetBytes(size)
	for b.Loop() {
		if _, err := c.Write(line); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, answer); err != nil {
			b.Fatal(err)
		}
	}
}
