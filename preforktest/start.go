package preforktest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"

	"prefork"
	"prefork/internal/program"
	"prefork/internal/testdir"
	"prefork/master"
	"prefork/worker"
)

// Server is a server that runs until its test ends. Its methods may be called
// from any goroutine, but Dial only from the test's.
type Server struct {
	// Addrs is where it serves, in the order of Listen.
	Addrs []net.Addr

	tb      testing.TB
	drain   func()
	ended   chan struct{}
	err     error       // why it ended; valid after ended is closed
	errSeen atomic.Bool // the test has got err
}

// Start serves srv in this process, as a worker would, until the test ends. It
// calls Configure if it is set. It fails the test if srv is not valid or has
// mode forking, which needs StartMaster. The test must not change or run srv
// meanwhile.
func Start(tb testing.TB, srv *prefork.Server) *Server {
	tb.Helper()
	if problems := srv.Validate(); len(problems) > 0 {
		tb.Fatalf("preforktest: %v", errors.Join(problems...))
	}
	cfg, o := program.Of(srv)
	log := newLog(tb, srv)
	o.NewLogger = func(string, string) (*zap.Logger, zap.AtomicLevel, error) {
		return log, zap.NewAtomicLevelAt(log.Level()), nil
	}
	sockets := new(master.Sockets)
	open, err := sockets.Open(tb.Context(), replacements{}.of(tb, srv.Listen), srv.RequestQueueSize, srv.NoReuseAddress)
	if err != nil {
		tb.Fatalf("preforktest: %v", err)
	}
	listeners := make([]worker.Listener, len(open))
	for i, l := range open {
		listeners[i] = worker.Listener{Name: l.Name, FD: l.FD}
	}
	alone, err := worker.ServeAlone(cfg, o, listeners)
	if err != nil {
		sockets.Close()
		tb.Fatalf("preforktest: %v", err)
	}
	s := &Server{Addrs: alone.Addrs(), tb: tb, drain: alone.Drain, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		<-alone.Done()
		s.err = alone.Err()
		sockets.Close()
	}()
	tb.Cleanup(func() { s.end(alone.Stop) })
	return s
}

// Dial connects to the first of Addrs. The connection is closed when the test
// ends, before the server. An error fails the test.
func (s *Server) Dial() net.Conn {
	s.tb.Helper()
	c, err := net.Dial(s.Addrs[0].Network(), s.Addrs[0].String())
	if err != nil {
		s.tb.Fatalf("preforktest: %v", err)
	}
	s.tb.Cleanup(func() { _ = c.Close() })
	return c
}

// Shutdown drains the server and waits until it has ended, as
// prefork.Server.Shutdown does. It returns the error of the server. If ctx ends
// first, it returns the error of ctx, and the drain continues.
func (s *Server) Shutdown(ctx context.Context) error {
	s.drain()
	select {
	case <-s.ended:
		s.errSeen.Store(true)
		return s.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end stops the server after its test.
func (s *Server) end(stop func()) {
	s.tb.Helper()
	http.DefaultClient.CloseIdleConnections() // as httptest does
	stop()
	<-s.ended
	if s.err != nil && !s.errSeen.Load() {
		s.tb.Errorf("preforktest: the server ended: %v", s.err)
	}
}

// replacements are free addresses by the address of Listen that they replace.
type replacements map[string]string

// of returns a free address for each of listen. It returns the same one each
// time.
func (p replacements) of(tb testing.TB, listen []string) []string {
	tb.Helper()
	if len(listen) == 0 {
		listen = []string{prefork.DefaultListen}
	}
	free := make([]string, len(listen))
	for i, address := range listen {
		switch {
		case p[address] != "":
		case strings.HasPrefix(address, "unix:"):
			p[address] = "unix://" + filepath.Join(testdir.Short(tb), "socket")
		default: // an address may be listed once, so each gets its own host
			p[address] = fmt.Sprintf("tcp://127.0.0.%d:0", 1+len(p)%254)
		}
		free[i] = p[address]
	}
	return free
}
