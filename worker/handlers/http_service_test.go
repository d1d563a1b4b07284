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
)

// forever is a lame-duck period that no test waits for.
const forever = time.Hour

func newTestServer(h http.HandlerFunc) *http.Server {
	return &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
}

// running is a service over a listener of its own, as a worker runs it.
type running struct {
	t       *testing.T
	service *HTTPService
	l       net.Listener
	served  chan error
}

func run(t *testing.T, s *HTTPService) *running {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, service: s, l: l, served: make(chan error, 1)}
	go func() { r.served <- s.Serve(l) }()
	return r
}

// drain does what a worker does: it closes the listener, then calls Drain.
func (r *running) drain(ctx context.Context) error {
	_ = r.l.Close()
	return r.service.Drain(ctx)
}

// left waits for Serve to return.
func (r *running) left() {
	r.t.Helper()
	select {
	case err := <-r.served:
		if err != nil {
			r.t.Errorf("Serve: %v", err)
		}
	case <-time.After(testPatience):
		r.t.Fatal("Serve did not return")
	}
}

// httpClient speaks HTTP/1.1 over one connection, and forgives nothing.
type httpClient struct {
	conn net.Conn
	r    *bufio.Reader
}

func (r *running) dial() *httpClient {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.l.Addr().String())
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

// answer reads one answer, and reports whether the connection ends with it.
func (c *httpClient) answer() (body string, last bool, err error) {
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return "", false, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), resp.Close, err
}

// eof waits for the server's end of the connection.
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
		s.LameDuck = forever // so every one leaves by an answer
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
		if err := r.drain(t.Context()); err != nil {
			t.Errorf("Drain: %v", err)
		}
		done.Wait()
		r.left()
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
	fresh.mustGet(t, "/", "hello", false) // it is accepted by now
	drained := make(chan error, 1)
	go func() { drained <- r.drain(t.Context()) }()
	<-s.draining
	idle.mustGet(t, "/", "hello", true)
	fresh.mustGet(t, "/", "hello", true)
	if err := errors.Join(idle.eof(), fresh.eof(), <-drained); err != nil {
		t.Error(err)
	}
	r.left()
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
	if err := r.drain(t.Context()); err != nil {
		t.Errorf("Drain: %v", err)
	}
	if err := errors.Join(idle.eof(), silent.eof()); err != nil {
		t.Error(err)
	}
	// net/http has something to say to half a request.
	resp, err := http.ReadResponse(half.r, nil)
	if err != nil {
		t.Fatalf("half a request: %v", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest || !resp.Close {
		t.Errorf("half a request: %s, want a last answer of 400", resp.Status)
	}
	r.left()
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
	drained := make(chan error, 1)
	go func() { drained <- r.drain(t.Context()) }()
	// The idle one goes first: the lame-duck period has passed for it.
	if err := idle.conn.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "the idle connection is gone", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.conns) == 1
	})
	close(release)
	if body, _, err := busy.answer(); body != "hello" || err != nil {
		t.Errorf("answer: %q, %v", body, err)
	}
	if err := errors.Join(busy.eof(), <-drained); err != nil {
		t.Error(err)
	}
	r.left()
}

func TestTheDeadlineEndsTheRequestsContexts(t *testing.T) {
	started := make(chan struct{})
	ended := make(chan struct{})
	s := HTTPServer(newTestServer(func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
		close(ended)
	}))
	r := run(t, s)
	if err := r.dial().send("/"); err != nil {
		t.Fatal(err)
	}
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-s.draining
		cancel()
	}()
	if err := r.drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Drain: %v, want the context's error", err)
	}
	select {
	case <-ended:
	case <-time.After(testPatience):
		t.Fatal("the handler's context did not end")
	}
	r.service.LameDuck = time.Millisecond
	if err := s.Drain(t.Context()); err != nil { // the answer kept the connection
		t.Errorf("second Drain: %v", err)
	}
	r.left()
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
	if err := r.drain(t.Context()); err != nil {
		t.Errorf("Drain: %v", err)
	}
	if rest, err := io.ReadAll(c.r); string(rest) != "bye\n" || err != nil {
		t.Errorf("read %q, %v", rest, err)
	}
	r.left()
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
	if err := r.drain(t.Context()); err != nil {
		t.Error(err)
	}
	r.left()
	for _, state := range []http.ConnState{http.StateNew, http.StateActive, http.StateIdle, http.StateClosed} {
		if _, ok := states.Load(state); !ok {
			t.Errorf("ConnState did not hear of %v", state)
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

// Broken TLS handshakes, for example, are each a line of net/http's.
func TestWhatClientsMakeHTTPLogIsLimited(t *testing.T) {
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
