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
	"prefork/ipc"
	"prefork/worker"
)

// DefaultLameDuck of an HTTPService is the same as that of worker.Config.DrainIdle.
const DefaultLameDuck = 5 * time.Second

var _ worker.Service = (*HTTPService)(nil)

// HTTPService runs an http.Server as a worker.Service: on the worker's sockets,
// within its limits, and with a drain in which no client gets an error. Make it with
// HTTPServer; it serves once.
//
// In a drain
//
//	a request under way     is finished
//	the next request        is answered, with Connection: close
//	a connection that is    is closed; half a request that stalls so long is
//	silent for LameDuck     answered 400
//	at the deadline         the requests' contexts end, then the worker closes
//
// http.Server.Shutdown is not used: it closes idle connections at once, when the
// client's next request may be on its way. A request that comes in the microseconds
// in which its connection is closed after LameDuck is still lost; HTTP/1.1 cannot
// prevent that (RFC 9112, 9.5).
//
// In HTTP/2 net/http turns Connection: close into a GOAWAY: open streams finish, and
// the client uses another connection for the next ones. A connection without streams
// is closed after LameDuck without a GOAWAY, because net/http cannot send one.
//
// A hijacked connection (a WebSocket) is open until its handler closes it, which can
// wait for Draining. If l of Serve is not the worker's listener itself but wraps its
// connections, they are not closed after LameDuck.
type HTTPService struct {
	// LameDuck is how long a connection must be silent during a drain before it is
	// closed; 5 s if 0. Set it before Serve.
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

// HTTPServer makes a Service of srv, which nothing else may use any more: its Handler,
// BaseContext, ConnContext and ConnState are wrapped. It speaks TLS if its TLSConfig
// has a certificate.
//
// In the modes sequential and forking a client occupies its worker as long as its
// connection is open; call srv.SetKeepAlivesEnabled(false) first.
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

// errorLog is the default http.Server.ErrorLog: the standard logger, with a limit,
// because clients can cause lines with broken TLS handshakes, for example.
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

// The keys in a request's context.
type (
	drainingKey struct{} // the channel of Draining
	leavingKey  struct{} // the channel of Leaving
	connKey     struct{} // the *worker.Conn
)

// Draining returns a channel that is closed when the worker that serves the
// request begins to drain, so that a handler that runs for long (server-sent
// events, a long poll, a WebSocket) can end. It is nil for a request that no
// HTTPService serves.
func Draining(ctx context.Context) <-chan struct{} {
	ch, _ := ctx.Value(drainingKey{}).(chan struct{})
	return ch
}

// Leaving returns a channel that is closed when the whole server is going to end:
// health checks should fail then. In a reload, or when a single worker ends, only
// Draining is closed. It is nil for a request that no HTTPService serves.
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

// wrapHandler gives the method and the path to Conn.Doing, but not the query, which
// may be secret. During a drain each answer closes its connection, unless its handler
// began before.
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
			path := r.URL.Path[:min(len(r.URL.Path), ipc.MaxDoing)] // not to keep a long one
			c.Doing(r.Method + " " + path)
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
