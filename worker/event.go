package worker

import "errors"

// EventHandler serves all connections of a worker in mode Event. The loop calls its
// methods one at a time, so they need no locks, and must not block: while one runs,
// no other connection of the worker is served. A handler that blocks the loop for a
// second is named in the log, with its stack.
//
// A panic in a method costs its connection only.
type EventHandler interface {
	// Open is called when a connection has been accepted and verified. It may
	// write, for example a banner. An error closes the connection.
	Open(c *Conn) error

	// Data is called when bytes have arrived. in holds the bytes that were not
	// consumed before, followed by the new ones. It is valid during the call only,
	// and the handler may change it in place.
	//
	// Data returns how many bytes it has consumed, from the front of in. The others
	// are kept and come again in front of the next bytes; more than
	// Config.MaxMessage of them end the connection with ErrMessageTooLong. A handler
	// that answers many messages of one client should return when Conn.Unsent is
	// above 0, with the rest unconsumed: Data is called again, without new bytes,
	// when the client has taken what was written.
	//
	// eof says that the client will send no more. There is one call with
	// eof, perhaps with nothing in in, unless the connection ends before; and further
	// ones if the handler has left bytes because of Unsent. After the last one the
	// connection is closed as soon as everything is sent, unless the handler
	// has called Conn.Keep.
	//
	// An error closes the connection, after what was written has been sent. io.EOF
	// closes it too, and is no failure.
	Data(c *Conn, in []byte, eof bool) (consumed int, err error)

	// Close is called once when the connection ends, if Open was called. err says
	// why; it is nil if the client or the handler has ended it. Close must not
	// write.
	Close(c *Conn, err error)
}

// BaseEventHandler is embedded by handlers that need only Data.
type BaseEventHandler struct{}

// Open does nothing.
func (BaseEventHandler) Open(*Conn) error { return nil }

// Close does nothing.
func (BaseEventHandler) Close(*Conn, error) {}

var (
	// ErrUnsent is why a connection in mode Event ends that has more than
	// Config.MaxUnsent bytes to send.
	ErrUnsent = errors.New("client reads too slowly")

	// ErrMessageTooLong is why a connection in mode Event ends whose handler leaves
	// more than Config.MaxMessage bytes unconsumed.
	ErrMessageTooLong = errors.New("message is too long")
)

// checkEvent is Check for mode Event.
func (o *Options) checkEvent(cfg Config) error {
	h := &o.Hooks
	switch {
	case o.EventHandler == nil:
		return errors.New("no program for mode event: set EventHandler, or another mode")
	case cfg.AccessLog && cfg.AccessFormat == AccessCommon:
		return errors.New("access_format: common is for programs that serve HTTP, through handlers.HTTPServer; mode event has json")
	case h.BaseContext != nil || h.ConnContext != nil || h.ProcessRequest != nil:
		return errors.New("options: mode event has no context and no goroutine for a connection, so the hooks BaseContext, ConnContext and ProcessRequest would never be called")
	}
	return nil
}
