package handlers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"prefork/worker"
)

// forever is a lame-duck period longer than any test.
const forever = time.Hour

func newTestServer(h http.HandlerFunc) *http.Server {
	return &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
}

// running is a service in a worker without a master.
type running struct {
	t       *testing.T
	service *HTTPService
	worker  *worker.Alone
	addr    string
}

func run(t *testing.T, s *HTTPService) *running { return runWith(t, s, worker.Config{}) }

func runWith(t *testing.T, s *HTTPService, cfg worker.Config) *running {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	a, err := worker.ServeAlone(cfg, worker.Options{Service: s}, []worker.Listener{{Name: "test", FD: fdOf(t, l)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Stop()
		<-a.Done()
	})
	return &running{t: t, service: s, worker: a, addr: l.Addr().String()}
}

// drain closes the listener, drains the service and waits for the connections.
func (r *running) drain() {
	r.t.Helper()
	r.worker.Drain()
	select {
	case <-r.worker.Done():
		if err := r.worker.Err(); err != nil {
			r.t.Errorf("drain: %v", err)
		}
	case <-time.After(testPatience):
		r.t.Fatal("the drain does not end")
	}
}

// httpClient sends HTTP/1.1 requests on one connection and never retries.
type httpClient struct {
	conn net.Conn
	r    *bufio.Reader
}

func (r *running) dial() *httpClient {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(testPatience)); err != nil {
		r.t.Fatal(err)
	}
	return &httpClient{conn: conn, r: bufio.NewReader(conn)}
}

func (c *httpClient) send(path string) error {
	_, err := fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path)
	return err
}

// answer reads an answer and reports whether it has Connection: close.
func (c *httpClient) answer() (body string, last bool, err error) {
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return "", false, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), resp.Close, err
}

// eof waits until the server has closed the connection.
func (c *httpClient) eof() error {
	if b, err := c.r.ReadByte(); err != io.EOF {
		return fmt.Errorf("read %q, %v, want EOF", b, err)
	}
	return nil
}

func (c *httpClient) mustGet(t *testing.T, path, want string, wantLast bool) {
	t.Helper()
	if err := c.send(path); err != nil {
		t.Fatalf("send: %v", err)
	}
	body, last, err := c.answer()
	if err != nil || body != want || last != wantLast {
		t.Fatalf("GET %s: %q, last %v, %v; want %q, last %v", path, body, last, err, want, wantLast)
	}
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

func TestKeepAliveClientsSeeNoErrorAcrossADrain(t *testing.T) {
	const clients, rounds = 20, 5
	for round := range rounds {
		s := HTTPServer(newTestServer(hello))
		s.LameDuck = forever // so every connection ends with an answer
		r := run(t, s)
		var warm, done sync.WaitGroup
		var total atomic.Int64
		for range clients {
			warm.Add(1)
			c := r.dial()
			done.Go(func() {
				for n := 0; ; n++ {
					if err := c.send("/"); err != nil {
						t.Errorf("round %d, request %d: send: %v", round, n, err)
						return
					}
					body, last, err := c.answer()
					if err != nil || body != "hello" {
						t.Errorf("round %d, request %d: %q, %v", round, n, body, err)
						return
					}
					total.Add(1)
					if n == 10 {
						warm.Done()
					}
					if last {
						return
					}
				}
			})
		}
		warm.Wait()
		r.drain()
		done.Wait()
		if n := total.Load(); n < clients*11 {
			t.Errorf("%d requests, want some from each client", n)
		}
	}
}

func TestTheNextRequestDuringADrainIsAnsweredAndTheLast(t *testing.T) {
	s := HTTPServer(newTestServer(hello))
	s.LameDuck = forever
	r := run(t, s)
	idle, fresh := r.dial(), r.dial()
	idle.mustGet(t, "/", "hello", false)
	fresh.mustGet(t, "/", "hello", false) // it has been accepted
	r.worker.Drain()
	<-s.draining
	idle.mustGet(t, "/", "hello", true)
	fresh.mustGet(t, "/", "hello", true)
	if err := errors.Join(idle.eof(), fresh.eof()); err != nil {
		t.Error(err)
	}
	r.drain()
}

func TestSilentConnectionsAreClosedWithoutAReset(t *testing.T) {
	accepted := make(chan struct{}, 10)
	srv := newTestServer(hello)
	srv.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			accepted <- struct{}{}
		}
	}
	s := HTTPServer(srv)
	s.LameDuck = 20 * time.Millisecond
	r := run(t, s)
	idle, silent, half := r.dial(), r.dial(), r.dial()
	idle.mustGet(t, "/", "hello", false)
	if _, err := io.WriteString(half.conn, "GET / HT"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		<-accepted
	}
	r.drain()
	if err := errors.Join(idle.eof(), silent.eof()); err != nil {
		t.Error(err)
	}
	// net/http answers an incomplete request.
	resp, err := http.ReadResponse(half.r, nil)
	if err != nil {
		t.Fatalf("half a request: %v", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest || !resp.Close {
		t.Errorf("half a request: %s, want a last answer of 400", resp.Status)
	}
}

func TestARequestUnderWayOutlastsTheLameDuck(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	s := HTTPServer(newTestServer(func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-Draining(r.Context())
		<-release
		if err := r.Context().Err(); err != nil {
			t.Errorf("the request's context ended: %v", err)
		}
		hello(w, r)
	}))
	s.LameDuck = time.Millisecond
	r := run(t, s)
	busy, idle := r.dial(), r.dial()
	if err := busy.send("/"); err != nil {
		t.Fatal(err)
	}
	<-started
	r.worker.Drain()
	// The idle connection is closed first, after the lame-duck period.
	if err := idle.eof(); err != nil {
		t.Error(err)
	}
	close(release)
	if body, _, err := busy.answer(); body != "hello" || err != nil {
		t.Errorf("answer: %q, %v", body, err)
	}
	if err := busy.eof(); err != nil {
		t.Error(err)
	}
	r.drain()
}

func TestTheDeadlineEndsTheRequestsContexts(t *testing.T) {
	started := make(chan struct{})
	ended := make(chan struct{})
	s := HTTPServer(newTestServer(func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
		close(ended)
	}))
	r := runWith(t, s, worker.Config{DrainTimeout: 10 * time.Millisecond})
	if err := r.dial().send("/"); err != nil {
		t.Fatal(err)
	}
	<-started
	r.worker.Drain()
	select {
	case <-ended:
	case <-time.After(testPatience):
		t.Fatal("the handler's context did not end")
	}
	r.drain()
}

func TestAHijackedConnectionCountsUntilItIsClosed(t *testing.T) {
	s := HTTPServer(newTestServer(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		defer conn.Close()
		if _, err := rw.WriteString("hijacked\n"); err != nil || rw.Flush() != nil {
			t.Errorf("write: %v", err)
		}
		<-Draining(r.Context())
		_, _ = io.WriteString(conn, "bye\n")
	}))
	s.LameDuck = time.Millisecond
	r := run(t, s)
	c := r.dial()
	if err := c.send("/"); err != nil {
		t.Fatal(err)
	}
	if line, err := c.r.ReadString('\n'); line != "hijacked\n" {
		t.Fatalf("read %q, %v", line, err)
	}
	r.drain()
	if rest, err := io.ReadAll(c.r); string(rest) != "bye\n" || err != nil {
		t.Errorf("read %q, %v", rest, err)
	}
}

func TestTheProgramsOwnHooksStillRun(t *testing.T) {
	type key struct{}
	var states sync.Map
	srv := newTestServer(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Context().Value(key{}))
	})
	srv.BaseContext = func(net.Listener) context.Context { return context.WithValue(context.Background(), key{}, "base") }
	srv.ConnState = func(_ net.Conn, s http.ConnState) { states.Store(s, true) }
	s := HTTPServer(srv)
	s.LameDuck = time.Millisecond
	r := run(t, s)
	r.dial().mustGet(t, "/", "base", false)
	r.drain()
	for _, state := range []http.ConnState{http.StateNew, http.StateActive, http.StateIdle, http.StateClosed} {
		if _, ok := states.Load(state); !ok {
			t.Errorf("ConnState was not called with %v", state)
		}
	}
}

func TestServeReturnsAnAcceptErrorAsSuch(t *testing.T) {
	broken := errors.New("listener is broken")
	if err := HTTPServer(newTestServer(hello)).Serve(brokenListener{err: broken}); !errors.Is(err, broken) {
		t.Errorf("Serve: %v, want %v", err, broken)
	}
}

type brokenListener struct {
	net.Listener
	err error
}

func (l brokenListener) Accept() (net.Conn, error) { return nil, l.err }
func (l brokenListener) Close() error              { return nil }

func TestDrainingIsNilOutsideOfAService(t *testing.T) {
	if Draining(t.Context()) != nil {
		t.Error("a context of no service has a drain")
	}
}

// net/http logs a line for each failed TLS handshake, for example.
func TestHTTPErrorLogIsLimited(t *testing.T) {
	var out strings.Builder
	log.SetOutput(&out)
	defer log.SetOutput(os.Stderr)
	srv := &http.Server{}
	HTTPServer(srv)
	const lines = 1000
	for range lines {
		srv.ErrorLog.Print("http: TLS handshake error")
	}
	unsaid := srv.ErrorLog.Writer().(*errorLog).limit.Unsaid()
	if said := strings.Count(out.String(), "handshake"); said == 0 || unsaid == 0 || said+unsaid > lines {
		t.Errorf("%d lines of %d were written, and %d counted", said, lines, unsaid)
	}
}
