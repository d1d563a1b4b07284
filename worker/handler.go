package worker

import (
	"context"
	"net"
)

// Handler serves one connection, as socketserver's BaseRequestHandler does:
// Setup, then Handle, then Finish. Finish runs if Setup returned nil, even if
// Handle failed or panicked. The worker closes the connection after Finish.
//
// ctx ends when the worker must give the connection up: at the drain deadline,
// or when Config.HandlerTimeout has passed. A Handler given as one value serves
// all connections and must keep no state between calls; one made by a
// constructor is used for one connection.
type Handler interface {
	Setup(ctx context.Context, c *Conn) error
	Handle(ctx context.Context, c *Conn) error
	Finish(ctx context.Context, c *Conn) error
}

// HandlerFunc is a Handler with nothing to set up or finish.
type HandlerFunc func(ctx context.Context, c *Conn) error

// Setup does nothing.
func (HandlerFunc) Setup(context.Context, *Conn) error { return nil }

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, c *Conn) error { return f(ctx, c) }

// Finish does nothing.
func (HandlerFunc) Finish(context.Context, *Conn) error { return nil }

// BaseHandler is embedded by handlers that need only some of the methods, as
// classes derive from BaseRequestHandler.
type BaseHandler struct{}

// Setup does nothing.
func (BaseHandler) Setup(context.Context, *Conn) error { return nil }

// Handle does nothing.
func (BaseHandler) Handle(context.Context, *Conn) error { return nil }

// Finish does nothing.
func (BaseHandler) Finish(context.Context, *Conn) error { return nil }

// Service is a server that accepts for itself, such as net/http's or gRPC's.
// It gets a net.Listener for the worker's sockets, with the limits, counters and
// drain that handlers have.
type Service interface {
	// Serve accepts from l until Accept returns an error that wraps
	// net.ErrClosed, which is not a failure. It must then return when no
	// connection is left.
	Serve(l net.Listener) error

	// Drain is called when the worker begins to drain. It should close idle
	// connections (see Conn.SetDrainIdle), but none with a request under way, and
	// return when all are closed or ctx ends, at the drain's deadline.
	Drain(ctx context.Context) error
}

// AccessLog is for a Service that logs its requests. Its methods may be called from
// any goroutine.
type AccessLog interface {
	// Requests says that the Service must write a line for each request. If
	// not, the worker writes a record for each connection.
	Requests() bool

	// Wants says whether to log a request: always if it failed, else as often as
	// Config.AccessSample says.
	Wants(failed bool) bool

	// Write appends one line, which ends with a line feed and should not be
	// longer than 4096 bytes. It does not keep line.
	Write(line []byte)
}

// A Service may implement these as well.
type (
	// LameDucker is notified once, before the worker begins to drain, that the
	// whole server is going to end and not only this worker or its generation:
	// health checks should fail from then on. It must not block.
	LameDucker interface{ HandleLameDuck() }

	// AccessLogger is notified of the access log once, before Serve, if there is
	// one.
	AccessLogger interface{ HandleAccessLog(a AccessLog) }
)
