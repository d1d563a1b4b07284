package worker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"prefork/ipc"
)

// web is a simple Service around net/http.
type web struct {
	server *http.Server
	tls    *tls.Config
	live   sync.WaitGroup
}

func newWeb(h http.Handler) *web {
	w := &web{server: &http.Server{Handler: h}}
	w.server.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			w.live.Add(1)
		case http.StateClosed, http.StateHijacked:
			w.live.Done()
		}
	}
	return w
}

func (w *web) Serve(l net.Listener) error {
	if w.tls != nil {
		l = tls.NewListener(l, w.tls)
	}
	err := w.server.Serve(l)
	w.live.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (w *web) Drain(context.Context) error {
	w.server.SetKeepAlivesEnabled(false)
	return nil
}

// closedService is a Service that ends at once.
type closedService struct{ err error }

func (s *closedService) Serve(net.Listener) error    { return s.err }
func (s *closedService) Drain(context.Context) error { return nil }

func get(t testing.TB, c *http.Client, url string) string {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", resp.StatusCode, err)
	}
	return string(b)
}

func TestHTTPServesOverTheView(t *testing.T) {
	w := newWeb(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/file" {
			http.ServeFile(w, r, "service_test.go")
			return
		}
		_, _ = io.WriteString(w, "hello "+r.RemoteAddr)
	}))
	r := accepting(t, Config{}, Options{Service: w}, "127.0.0.1:0", "127.0.0.1:0")
	client := &http.Client{Transport: new(http.Transport), Timeout: patience}
	for i := range 20 {
		if s := get(t, client, "http://"+r.addrs[i%2]+"/"); len(s) < len("hello 127") {
			t.Fatalf("answer %q", s)
		}
	}
	file, err := os.ReadFile("service_test.go")
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, client, "http://"+r.addrs[0]+"/file"); got != string(file) {
		t.Error("the file did not arrive whole")
	}
	r.hasActive(2) // kept alive
	if n := r.slot.Accepted.Load(); n != 2 {
		t.Errorf("accepted %d, want one for each listener", n)
	}
	r.send(&ipc.Drain{TimeoutMS: long})
	r.drained()
	if n := r.slot.Handled.Load(); n != 2 {
		t.Errorf("handled %d, want 2", n)
	}
}

func TestTLSServesOverTheView(t *testing.T) {
	cert, pool := certificate(t)
	w := newWeb(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	w.tls = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}
	r := accepting(t, Config{ReadTimeout: patience, WriteTimeout: patience}, Options{Service: w})
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "test", MinVersion: tls.VersionTLS13}}
	client := &http.Client{Transport: transport, Timeout: patience}
	defer transport.CloseIdleConnections()
	for range 5 {
		get(t, client, "https://"+r.addrs[0]+"/")
	}
}

func TestTLSServesInsideAHandler(t *testing.T) {
	cert, pool := certificate(t)
	r := accepting(t, Config{}, Options{Handler: HandlerFunc(func(ctx context.Context, c *Conn) error {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})
		if _, err := io.Copy(s, s); err != nil {
			return err
		}
		return s.Close()
	})})
	c := tls.Client(r.dial(0), &tls.Config{RootCAs: pool, ServerName: "test", MinVersion: tls.VersionTLS13})
	ask(t, c, "secret", "secret")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	expectEOF(t, c)
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// hand is a Service that passes accepted connections to the test.
type hand struct {
	conns   chan *Conn
	refused chan error
	drained chan context.Context
	hold    chan struct{} // Serve returns when it is closed
}

func newHand() *hand {
	return &hand{make(chan *Conn), make(chan error, 1), make(chan context.Context, 1), make(chan struct{})}
}

func (h *hand) Serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			h.refused <- err
			<-h.hold
			return nil
		}
		h.conns <- c.(*Conn)
	}
}

func (h *hand) Drain(ctx context.Context) error {
	h.drained <- ctx
	return nil
}

func TestServiceHasTheLimitOfTheMode(t *testing.T) {
	h := newHand()
	close(h.hold)
	r := accepting(t, Config{Mode: Sequential}, Options{Service: h})
	r.dial(0)
	first := within(t, "the first connection", h.conns)
	r.dial(0)
	eventually(t, "the second to queue", func() bool { return r.queued(0) == 1 })
	_ = first.Close()
	_ = within(t, "the second connection", h.conns).Close()
	r.hasActive(0)
}

func TestForkedServiceGetsExactlyOneConnection(t *testing.T) {
	h := newHand()
	r := accepting(t, Config{Mode: Forking}, Options{Service: h})
	r.dial(0)
	c := within(t, "the connection", h.conns)
	if err := within(t, "the end of Accept", h.refused); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("Accept: %v, want net.ErrClosed", err)
	}
	close(h.hold)
	_ = c.Close()
	if err := r.wait(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "busy", func() bool {
		report := got[*ipc.Report](r)
		return report != nil && report.State == ipc.StateBusy
	})
}

func TestForkedServiceThatDoesNotReturnIsDrained(t *testing.T) {
	h := newHand()
	r := accepting(t, Config{Mode: Forking}, Options{Service: h})
	r.dial(0)
	c := within(t, "the connection", h.conns)
	<-h.refused
	_ = c.Close()
	within(t, "the drain", h.drained)
	close(h.hold)
	if err := r.wait(); err != nil {
		t.Fatal(err)
	}
}

func TestServiceDrainsAfterItsLastAccept(t *testing.T) {
	h := newHand()
	r := start(t, Config{DrainIdle: time.Nanosecond}, Options{Service: h})
	for range 3 {
		r.dial(0)
	}
	eventually(t, "all to queue", func() bool { return r.queued(0) == 3 })
	r.send(&ipc.Drain{TimeoutMS: long, Own: []string{"l0"}})
	var conns []*Conn
	for range 3 {
		select { // one is still waiting
		case <-h.drained:
			t.Fatal("Drain was called while connections wait")
		default:
		}
		conns = append(conns, within(t, "a connection", h.conns))
	}
	if err := within(t, "the end of Accept", h.refused); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("Accept: %v, want net.ErrClosed", err)
	}
	ctx := within(t, "the drain", h.drained)
	if _, ok := ctx.Deadline(); !ok {
		t.Error("the drain has no deadline")
	}
	close(h.hold)
	// DrainIdle does not end a Service's reads.
	until := ipc.Now() + int64(20*time.Millisecond)
	eventually(t, "some ticks", func() bool { return r.slot.Beat.Load() > until })
	for _, c := range conns {
		if c.idle != notIdle {
			t.Error("the generic rule was applied to a Service's connection")
		}
		_ = c.Close()
	}
	r.drained()
}

func TestServicesConnectionsAreCutAtTheDeadline(t *testing.T) {
	h := newHand()
	close(h.hold)
	r := accepting(t, Config{}, Options{Service: h})
	c := r.dial(0)
	within(t, "the connection", h.conns)
	r.send(&ipc.Drain{TimeoutMS: 10})
	if d := r.drained(); d.Cut != 1 {
		t.Errorf("cut %d, want 1", d.Cut)
	}
	expectEOF(t, c)
}

func TestServiceThatEndsEarlyEndsTheWorker(t *testing.T) {
	for _, cause := range []error{nil, errors.New("cannot serve")} {
		r := start(t, Config{}, Options{Service: &closedService{cause}})
		err := r.wait()
		exit := new(ExitError)
		if !errors.As(err, &exit) || exit.Code != ExitFailure || cause != nil && !errors.Is(err, cause) {
			t.Errorf("Run returned %#v for %v", err, cause)
		}
	}
}

// notAccepting is a Service that does not accept.
type notAccepting struct{ end chan struct{} }

func (s *notAccepting) Serve(net.Listener) error    { <-s.end; return nil }
func (s *notAccepting) Drain(context.Context) error { return nil }

func TestServiceThatDoesNotAcceptLeavesTheRestQueued(t *testing.T) {
	s := &notAccepting{make(chan struct{})}
	r := accepting(t, Config{}, Options{Service: s})
	for range serviceQueue + 3 {
		r.dial(0)
	}
	eventually(t, "three to queue", func() bool { return r.queued(0) == 3 })
	r.hasActive(serviceQueue)
	close(s.end)
	if err := r.wait(); err == nil {
		t.Error("a Service that ended early went unnoticed")
	}
	r.hasActive(0)
}

func TestAcceptReturnsQueuedConnectionsAfterClose(t *testing.T) {
	c, _ := connPair(t, "tcp", Config{})
	v := newServiceListener(c.table, c.LocalAddr())
	v.push(c)
	c.forService = false // no table has it
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := v.Accept(); got != net.Conn(c) || err != nil {
		t.Fatalf("Accept = %v, %v; want what was queued", got, err)
	}
	if _, err := v.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("Accept: %v, want net.ErrClosed", err)
	}
	if v.Addr() != c.LocalAddr() {
		t.Error("wrong address")
	}
	_ = fmt.Sprint(v.Close()) // a second time
}
