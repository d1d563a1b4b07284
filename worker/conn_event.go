package worker

import (
	"errors"
	"net"
)

// What a connection in mode Event has beside the methods of every Conn. Any goroutine
// may call Wake, and the methods of every Conn that only return something. All others
// belong to the loop: they may be called in the methods of the EventHandler, for any
// connection, and in a function that Wake runs.
//
// Write copies b and never waits. What was written in one call of the handler is sent
// in one system call when that returns. Bytes that the client does not take are kept,
// and until they are sent nothing is read from it. Read and the deadlines return
// errors.

// errInEvent is the error of methods that would wait, errOffLoop that of methods that
// only the loop may call.
var (
	errInEvent = errors.New("not in mode event, whose handler gets the bytes in Data")
	errOffLoop = errors.New("in mode event only the handler and the functions of Wake may do this")
)

// eventState is what the loop knows of a connection in mode Event. The loop owns it.
type eventState struct {
	fd    int32 // -1 when it is closed; guarded by events.fdMu
	flags eventFlags
	idled bool       // Config.IdleTimeout has ended it
	held  *heldBytes // nil if there are none
	state any        // of SetState
}

// heldBytes are the bytes of a connection that has some: an incomplete message, or what
// its client has not taken.
type heldBytes struct {
	in    []byte // not consumed
	out   []byte // not sent
	since int64  // when the client last took some of out, in ipc.Now's time
	cause error  // why the connection ends

	lingered int // bytes that were discarded
}

type eventFlags uint16

const (
	evOpened     eventFlags = 1 << iota // Open was called
	evSpoke                             // the handler has consumed a byte
	evEOF                               // Data was called with eof
	evKeep                              // Keep was called
	evWatched                           // in the poller
	evWriting                           // there until it can be written
	evTouched                           // in events.touched
	evWrote                             // an answer is not sent completely
	evEndWrite                          // CloseWrite was called
	evWriteEnded                        // and its EOF is sent
	evClosed                            // Close was called
	evEnding                            // it ends when out is sent
	evBroken                            // it cannot be written any more
	evReported                          // HandleError was called
	evLingering                         // see conn_close.go
	evEnded                             // and the handler's Close was called
)

func (e *eventState) is(f eventFlags) bool { return e.flags&f != 0 }

// unsent returns how many bytes the client has not taken.
func (e *eventState) unsent() int {
	if e.held == nil {
		return 0
	}
	return len(e.held.out)
}

// kept returns the bytes that were not consumed.
func (e *eventState) kept() []byte {
	if e.held == nil {
		return nil
	}
	return e.held.in
}

// hold returns held, which it makes if necessary.
func (e *eventState) hold() *heldBytes {
	if e.held == nil {
		e.held = new(heldBytes)
	}
	return e.held
}

// release frees held if nothing is in it.
func (e *eventState) release() {
	if h := e.held; h != nil && len(h.in) == 0 && len(h.out) == 0 && h.cause == nil {
		e.held = nil
	}
}

// SetState keeps v for the handler, until the connection ends.
func (c *Conn) SetState(v any) { c.event.state = v }

// State returns what SetState was given, or nil.
func (c *Conn) State() any { return c.event.state }

// Unsent returns how many bytes are kept because the client has not taken them. What
// the call of the handler has written so far is not counted before the loop has tried
// to send it.
func (c *Conn) Unsent() int { return c.event.unsent() }

// Wake makes the loop call f, if the connection is still open then; f may write. Any
// goroutine may call it, also one that holds a lock that f needs. The functions run in
// the order of the calls. Nothing but the program bounds how many wait. A client that
// waits for such an answer counts as idle. In the other modes Wake does nothing.
func (c *Conn) Wake(f func(c *Conn)) {
	if c.stream == nil {
		c.table.events.inbox.post(wakeConn{c, f})
	}
}

// wakeConn is the order to call f for a connection.
type wakeConn struct {
	conn *Conn
	f    func(c *Conn)
}

// Keep keeps the connection open after the call of Data with eof, because the handler
// still waits for an answer of another goroutine. In a drain there is such a call after
// Config.DrainIdle, though the client has not closed. The handler must call Close later,
// or CloseWrite.
func (c *Conn) Keep() { c.event.flags |= evKeep }

// eventRawConn is the syscall.RawConn of a connection in mode Event.
type eventRawConn struct{ conn *Conn }

func (r eventRawConn) Control(f func(fd uintptr)) error {
	if err := r.conn.withDescriptor(func(fd int) { f(uintptr(fd)) }); err != nil {
		return r.conn.opError("raw-control", err)
	}
	return nil
}

func (r eventRawConn) Read(func(fd uintptr) bool) error {
	return r.conn.opError("raw-read", errInEvent)
}

func (r eventRawConn) Write(func(fd uintptr) bool) error {
	return r.conn.opError("raw-write", errInEvent)
}

// withDescriptor calls f with c's descriptor, which is not closed meanwhile.
func (e *events) withDescriptor(c *Conn, f func(fd int)) error {
	e.fdMu.RLock()
	defer e.fdMu.RUnlock()
	if c.event.fd < 0 {
		return net.ErrClosed
	}
	f(int(c.event.fd))
	return nil
}

// watch sets what the poller watches c for: writes while bytes are unsent, nothing after
// EOF, else reads.
func (e *events) watch(c *Conn) {
	fd, ev := int(c.event.fd), &c.event
	writing := ev.unsent() > 0
	var err error
	switch {
	case !writing && ev.is(evEOF) && !ev.is(evLingering):
		e.unwatch(c)
		return
	case !ev.is(evWatched):
		if err = e.poller.AddConn(fd); err == nil {
			ev.flags |= evWatched
			if writing {
				err = e.poller.SetWrite(fd, true)
			}
		}
	case writing != ev.is(evWriting):
		err = e.poller.SetWrite(fd, writing)
	default:
		return
	}
	if err != nil {
		e.cut(c, c.opError("watch", err))
		return
	}
	ev.flags &^= evWriting
	if writing {
		ev.flags |= evWriting
	}
}

func (e *events) unwatch(c *Conn) {
	if c.event.is(evWatched) {
		c.event.flags &^= evWatched | evWriting
		_ = e.poller.Remove(int(c.event.fd)) // it is watched
	}
}
