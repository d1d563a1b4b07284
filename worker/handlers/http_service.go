package handlers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"prefork/internal/logs"
	"prefork/worker"
)

// DefaultLameDuck of an HTTPService is the same as that of worker.Config.DrainIdle.
const DefaultLameDuck = 5 * time.Second

var _ worker.Service = (*HTTPService)(nil)

// HTTPService runs an http.Server as a worker.Service: over the worker's
// sockets, within its limits, and out again at a drain without an error for
// any client. Make it with HTTPServer; it serves once.
//
// A drain goes like this:
//
//	request under way   finishes
//	next request        is answered, with Connection: close
//	silent for LameDuck is closed, if no byte of a request has come meanwhile;
//	                    half a request that stalls so long is answered 400
//	the deadline        the requests' contexts end, then the worker closes
//
// http.Server.Shutdown closes idle connections at once, where the client's
// next request may be on its way, so it is not used. What is left is a client
// that breaks a silence of LameDuck in the very microseconds in which its
// connection is closed; HTTP/1.1 has no way to tell it (RFC 9112, 9.5).
//
// On HTTP/2 net/http turns the Connection: close of the first answer into a
// GOAWAY: the streams that are open finish, and the client opens the next ones
// on another connection. One without streams is closed after LameDuck like the
// others, with no GOAWAY before, since net/http offers none for it alone.
//
// A hijacked connection (a WebSocket) is its handler's: it counts until it is
// closed, and hears of the drain through Draining.
type HTTPService struct {
	// LameDuck is how long a connection must have been silent during a drain
	// before it is closed; 5 s if 0. Set it before Serve.
	LameDuck time.Duration

	server       *http.Server
	drainOnce    sync.Once
	draining     chan struct{} // closed when the drain begins
	lameDuckOnce sync.Once
	leaving      chan struct{} // closed when the server, not only this worker, is to end

	conns  sync.WaitGroup // one for each connection
	served chan struct{}  // closed when Serve returns

	requests       context.Context // ends at the drain's deadline
	cancelRequests context.CancelFunc
}

// HTTPServer makes a Service of srv, and takes it over: its Handler,
// BaseContext, ConnContext and ConnState are wrapped, and nothing but the Service may use
// it from then on. It speaks TLS if its TLSConfig has a certificate to show.
//
// In the modes sequential and forking a client keeps its worker for as long as
// it keeps its connection. srv.SetKeepAlivesEnabled(false), called before, is
// for them.
func HTTPServer(srv *http.Server) *HTTPService {
	s := &HTTPService{
		server:   srv,
		draining: make(chan struct{}),
		leaving:  make(chan struct{}),
		served:   make(chan struct{}),
	}
	s.requests, s.cancelRequests = context.WithCancel(context.Background())
	if srv.ErrorLog == nil {
		srv.ErrorLog = log.New(&errorLog{}, "", 0)
	}
	s.wrapHandler()
	s.wrapContext()
	s.wrapConnContext()
	s.wrapState()
	return s
}

// errorLog is what net/http logs with where its user says nothing else: the
// standard logger. Clients can cause these lines, by breaking TLS handshakes for
// example, so their number is limited.
type errorLog struct{ limit logs.Limit }

func (e *errorLog) Write(line []byte) (int, error) {
	if e.limit.Allow(time.Now()) {
		if n := e.limit.Unsaid(); n > 0 {
			log.Printf("http: %d lines not logged", n)
		}
		log.Print(string(line))
	}
	return len(line), nil
}

// drainingKey finds the channel of Draining in a request's context.
type drainingKey struct{}

// Draining returns a channel that is closed when the worker that serves the
// request begins to drain, so that a handler that would go on for long (server
// sent events, a long poll, a WebSocket) can come to an end. It is nil for a
// request that no HTTPService serves.
func Draining(ctx context.Context) <-chan struct{} {
	ch, _ := ctx.Value(drainingKey{}).(chan struct{})
	return ch
}

// leavingKey finds the channel of Leaving in a request's context.
type leavingKey struct{}

// Leaving returns a channel that is closed when the whole server is going to
// end, which is what a health check should tell a load balancer. A reload or
// the end of a single worker is no such thing: others take over, and Draining
// is closed alone. It is nil for a request that no HTTPService serves.
func Leaving(ctx context.Context) <-chan struct{} {
	ch, _ := ctx.Value(leavingKey{}).(chan struct{})
	return ch
}

// HandleLameDuck implements worker.LameDucker.
func (s *HTTPService) HandleLameDuck() { s.lameDuckOnce.Do(func() { close(s.leaving) }) }

// Serve accepts from l, and once l is closed it waits for the last connection.
func (s *HTTPService) Serve(l net.Listener) error {
	defer close(s.served)
	defer s.cancelRequests()
	l = &httpListener{Listener: l, service: s}
	var err error
	if hasCertificate(s.server.TLSConfig) {
		err = s.server.ServeTLS(l, "", "")
	} else {
		err = s.server.Serve(l)
	}
	if !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve http: %w", err)
	}
	s.conns.Wait()
	return nil
}

// Drain returns nil when all connections are closed, and ctx's error if that
// ends before.
func (s *HTTPService) Drain(ctx context.Context) error {
	s.drainOnce.Do(func() { close(s.draining) })
	select {
	case <-s.served:
		return nil
	case <-ctx.Done():
		s.cancelRequests()
		return ctx.Err()
	}
}

// wrapHandler tells those who watch the server what is asked for, without the
// query, which may hold what is not for them. During a drain it lets every
// answer close its connection; one whose handler began before keeps it, for a
// next request or until LameDuck.
func (s *HTTPService) wrapHandler() {
	next := s.server.Handler
	if next == nil {
		next = http.DefaultServeMux
	}
	s.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-s.draining:
			w.Header().Set("Connection", "close")
		default:
		}
		if c := connOf(r); c != nil {
			c.Doing(r.Method + " " + r.URL.Path)
		}
		next.ServeHTTP(w, r)
	})
}

// wrapContext makes the requests' contexts end at the drain's deadline, and
// Draining and Leaving work.
func (s *HTTPService) wrapContext() {
	base := s.server.BaseContext
	s.server.BaseContext = func(l net.Listener) context.Context {
		ctx := context.Background()
		if base != nil {
			ctx = base(l)
		}
		ctx = context.WithValue(ctx, leavingKey{}, s.leaving)
		ctx, cancel := context.WithCancel(context.WithValue(ctx, drainingKey{}, s.draining))
		context.AfterFunc(s.requests, cancel)
		return ctx
	}
}

// connKey finds a request's connection in its context.
type connKey struct{}

// connOf returns the connection that brought r, or nil.
func connOf(r *http.Request) *worker.Conn {
	c, _ := r.Context().Value(connKey{}).(*worker.Conn)
	return c
}

// wrapConnContext lets connOf find the connection.
func (s *HTTPService) wrapConnContext() {
	next := s.server.ConnContext
	s.server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if next != nil {
			ctx = next(ctx, c)
		}
		if wc := workerConn(c); wc != nil {
			ctx = context.WithValue(ctx, connKey{}, wc)
		}
		return ctx
	}
}

// wrapState lets a drain close the connections that have no request.
func (s *HTTPService) wrapState() {
	next := s.server.ConnState
	s.server.ConnState = func(c net.Conn, state http.ConnState) {
		if wc := workerConn(c); wc != nil {
			wc.SetDrainIdle(s.drainIdle(state))
		}
		if next != nil {
			next(c, state)
		}
	}
}

// drainIdle is LameDuck while a connection waits for a request, and else for ever.
func (s *HTTPService) drainIdle(state http.ConnState) time.Duration {
	switch {
	case state != http.StateNew && state != http.StateIdle:
		return 0
	case s.LameDuck > 0:
		return s.LameDuck
	}
	return DefaultLameDuck
}

func hasCertificate(c *tls.Config) bool {
	return c != nil && (len(c.Certificates) > 0 || c.GetCertificate != nil || c.GetConfigForClient != nil)
}
