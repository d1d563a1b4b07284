package metrics

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"prefork/master"
)

// The limits of a Server, which runs in the master.
const (
	maxClients   = 128 // connections at once; more are closed at once
	maxFollowers = 32  // of those that follow Events
	headerTime   = 10 * time.Second
	writeTime    = 15 * time.Second // for an answer; a stream moves it on
	idleTime     = time.Minute
	farewell     = time.Second // for answers that are under way at the end
)

// Server serves /metrics, and the status page if it is configured, over HTTP to
// every client that reaches its address. It only answers GET and HEAD.
type Server struct {
	Metrics http.Handler // /metrics
	Page    http.Handler // /; nil: there is none, nor Events
	Events  http.Handler // /events

	listener net.Listener
	http     *http.Server
	ended    chan struct{}
}

// Serve binds the address and serves until Close. ErrorLog takes the
// complaints of net/http.
func (s *Server) Serve(address master.Address, errorLog *log.Logger) error {
	l, err := listen(address)
	if err != nil {
		return err
	}
	s.listener = l
	s.http = &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: headerTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          errorLog,
		ConnState:         atMostClients(maxClients),
	}
	s.ended = make(chan struct{})
	go func() {
		defer close(s.ended)
		_ = s.http.Serve(l) // always http.ErrServerClosed
	}()
	return nil
}

// Addr returns the bound address, with the port that the kernel chose.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Keep restores the file of a Unix socket when it was removed, until the returned
// function is called. report is that of master.UnixSocket.Keep.
func (s *Server) Keep(every time.Duration, report func(error)) (stop func()) {
	if u, ok := s.listener.(*master.UnixSocket); ok {
		return u.Keep(every, report)
	}
	return func() {}
}

// Close ends the server, after a second at most for the answers under way.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	<-s.ended
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.Metrics)
	if s.Page != nil {
		local := isLoopback(s.listener.Addr())
		mux.Handle("GET /{$}", ownHost(local, s.Page))
		mux.Handle("GET /events", ownHost(local, atMost(maxFollowers, s.Events)))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if r.ContentLength != 0 {
			// net/http would read it after the answer, without a deadline.
			h.Set("Connection", "close")
			http.Error(w, "no request here has a body", http.StatusBadRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// atMostClients closes the connections that are too many at once. If they waited,
// idle ones could keep Prometheus out.
func atMostClients(most int64) func(net.Conn, http.ConnState) {
	var clients atomic.Int64
	return func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if clients.Add(1) > most {
				_ = c.Close()
			}
		case http.StateClosed:
			clients.Add(-1)
		}
	}
}

// ownHost refuses requests to a loopback address that name another host. Otherwise
// a page of another site could read the answer by DNS rebinding.
func ownHost(local bool, next http.Handler) http.Handler {
	if !local {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); host != "localhost" && (err != nil || !ip.IsLoopback()) {
			http.Error(w, fmt.Sprintf("this page is served to localhost, not to %q", host), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// atMost refuses more than n requests at once.
func atMost(n int, next http.Handler) http.Handler {
	free := make(chan struct{}, n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case free <- struct{}{}:
			defer func() { <-free }()
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", "10")
			http.Error(w, fmt.Sprintf("%d clients follow the server already", n), http.StatusServiceUnavailable)
		}
	})
}
