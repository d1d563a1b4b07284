package handlers

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"prefork/worker"
)

// inWorker serves one connection with a handler as a worker does, in this
// process. It returns the client's end and a channel for the result.
func inWorker(t *testing.T, o worker.Options) (*net.TCPConn, chan error) {
	t.Helper()
	return limited(t, o, worker.Config{})
}

// fdOf returns the descriptor of l, which l still owns.
func fdOf(t testing.TB, l net.Listener) (fd int) {
	t.Helper()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err == nil {
		err = raw.Control(func(p uintptr) { fd = int(p) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// limited is inWorker with limits.
func limited(t *testing.T, o worker.Options, limits worker.Config) (*net.TCPConn, chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	done := make(chan error, 1)
	go func() {
		done <- worker.HandleRequest(t.Context(), limits, o, []worker.Listener{{Name: "test", FD: fdOf(t, l)}})
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(testPatience)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), done
}

func TestRefusalReachesAClientThatGoesOnSending(t *testing.T) {
	c, done := inWorker(t, worker.Options{Handler: Upper(64 << 10)})
	chunk := []byte(strings.Repeat("a", 1<<20))
	sent := 0
	for ; sent < 100; sent++ { // megabytes, and no line feed
		if _, err := c.Write(chunk); err != nil {
			break // the worker has stopped reading
		}
	}
	if sent == 100 {
		t.Error("100 MB of one line were taken")
	}
	want := "error: line longer than 65536 bytes\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("read %q, %v, want %q", got, err, want)
	}
	if err := <-done; err != nil {
		t.Errorf("HandleRequest: %v", err)
	}
}

func TestLineHandlersServeInAWorker(t *testing.T) {
	for want, o := range map[string]worker.Options{
		"ONE\nTWO\nTHREE": {Handler: Upper(10), EventHandler: EventUpper(10)},
		"one\ntwo\nthree": {Handler: worker.HandlerFunc(Echo), EventHandler: EventEcho()},
		"":                {Handler: worker.HandlerFunc(Discard), EventHandler: EventDiscard()},
	} {
		for _, mode := range []worker.Mode{worker.Threading, worker.Event} {
			testLineHandler(t, want, o, mode)
		}
	}
}

func testLineHandler(t *testing.T, want string, o worker.Options, mode worker.Mode) {
	t.Helper()
	c, done := limited(t, o, worker.Config{Mode: mode})
	if _, err := io.WriteString(c, "one\ntwo\nthree"); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); string(got) != want || err != nil {
		t.Errorf("mode %s: %q, %v, want %q", mode, got, err, want)
	}
	if err := <-done; err != nil {
		t.Errorf("mode %s, want %q: %v", mode, want, err)
	}
}

func TestHTTPServesOneConnectionInAWorker(t *testing.T) {
	c, done := inWorker(t, worker.Options{Service: siteService(t, "")})
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); !strings.HasPrefix(string(got), "HTTP/1.1 200 OK\r\n") || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := <-done; err != nil {
		t.Errorf("HandleRequest: %v", err)
	}
}

// If a client does not read its answer, the connection ends after the worker's
// write timeout.
func TestHTTPGivesUpOnAClientThatDoesNotRead(t *testing.T) {
	root := t.TempDir()
	large := filepath.Join(root, "large")
	if err := os.WriteFile(large, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 1<<30); err != nil {
		t.Fatal(err)
	}
	c, done := limited(t, worker.Options{Service: siteService(t, root)}, worker.Config{WriteTimeout: 20 * time.Millisecond})
	if _, err := io.WriteString(c, "GET /large HTTP/1.1\r\nHost: t\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(testPatience):
		t.Error("the connection is still open")
	}
}

// siteService serves the files of a directory.
func siteService(t *testing.T, root string) *HTTPService {
	t.Helper()
	files, err := Files(root, false, false)
	if err != nil {
		t.Fatal(err)
	}
	return HTTPServer(&http.Server{Handler: files})
}
