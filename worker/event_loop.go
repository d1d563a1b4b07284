package worker

import (
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/worker/poll"
)

const (
	// readSize is how much is read from a connection at once. More waits until the
	// other connections that are ready have had their turn.
	readSize = 64 << 10

	// sendSize is how much is written before it is sent. A write of directSize and
	// more is sent without a copy, if it is the first.
	sendSize   = 64 << 10
	directSize = 16 << 10

	// observeEvery is for how many answers the clock is read once.
	observeEvery = 16
)

// events serves the connections in mode Event. The loop owns it, apart from the fields
// that say otherwise.
//
// All connections share one buffer for what is read and one for what is written. A
// connection has memory for its bytes only while a message is incomplete, or while its
// client does not take an answer:
//
//	readable ─► read: buffer ─► Data ─► Write: buffer ─► settle: one send
//	                              │                        │
//	                     not consumed: held.in    not taken: held.out
//	                              │                        │
//	                     in front of the          SetWrite; no reads until
//	                     next bytes               writable ─► sendHeld
type events struct {
	*worker
	poller  poll.Poller
	handler EventHandler
	conns   []*Conn // by descriptor; also those that linger

	in  []byte // what is read; kept bytes come first
	out []byte // what the current call of the handler has written to its connection

	now      int64 // when the last wait ended, in ipc.Now's time
	fresh    bool  // the connection that is served has sent a request since
	answered int   // requests that came since, and are not in the histogram yet

	touched   []*Conn // written to by the call for another connection
	lingering []*Conn
	exited    *Conn // whose handler has called runtime.Goexit

	// current is the connection whose handler runs, or nil. Only the loop sets it.
	current atomic.Pointer[Conn]
	stall   stallWatch

	fdMu sync.RWMutex // guards the descriptors against being closed
}

func newEvents(w *worker, p poll.Poller) *events {
	e := &events{worker: w, poller: p, handler: w.opt.EventHandler, in: make([]byte, 2*readSize)}
	e.stall.events = e
	w.table.events = e
	return e
}

// serve serves the connections in ready, and returns the other descriptors in its place.
func (e *events) serve(ready []int, now int64) (others []int) {
	e.now = now
	others = ready[:0]
	for _, fd := range ready {
		if fd >= len(e.conns) || e.conns[fd] == nil {
			others = append(others, fd)
		} else {
			e.ready(e.conns[fd])
		}
	}
	return others
}

// begin is called when the loop begins, and when it goes on after a handler has ended
// its goroutine with runtime.Goexit. Then only the handler's connection is lost.
func (e *events) begin() {
	e.stall.begin()
	e.resume()
}

// resume ends the connection whose handler has ended the loop's goroutine.
func (e *events) resume() {
	c := e.exited
	e.exited = nil
	switch {
	case c == nil:
	case c.event.is(evEnded):
		e.finish(c, ErrGoexit)
	default:
		e.settle(c, ErrGoexit)
	}
}

// wake carries out a Conn.Wake.
func (e *events) wake(o wakeConn) {
	if !o.conn.event.is(evEnded) {
		e.settle(o.conn, e.call(o.conn, func() error { o.f(o.conn); return nil }))
	}
}

// add makes the connection with descriptor fd, which it then owns. On error fd is
// closed.
func (e *events) add(fd int, from *listenerInfo, remote syscall.Sockaddr, now int64) (*Conn, error) {
	c := &Conn{listener: from, remote: remote, table: e.table, acceptedAt: now}
	c.event.fd = int32(fd)
	c.drainIdle.Store(int64(e.cfg.DrainIdle))
	if err := e.poller.AddConn(fd); err != nil {
		e.closeDescriptor(c)
		return nil, c.opError("accept", err)
	}
	c.event.flags = evWatched
	if fd >= len(e.conns) {
		e.conns = append(e.conns, make([]*Conn, fd+1-len(e.conns))...)
	}
	e.conns[fd] = c
	return c, nil
}

// errNotReturned is the result of the program's code until it has returned.
var errNotReturned = errors.New("not returned")

// enter begins a call of the program's code for c, in which c may be written. The
// deferred leave ends it.
func (e *events) enter(c *Conn) {
	e.stall.enter()
	e.current.Store(c)
}

// leave turns a panic into *err. It must be deferred, with *err being errNotReturned.
func (e *events) leave(c *Conn, err *error) {
	if value := recover(); value != nil {
		*err = &PanicError{Value: value, Stack: debug.Stack()}
	} else if *err == errNotReturned { //nolint:errorlint // it is as the caller has set it
		e.exited = c // by runtime.Goexit: only deferred calls run on this goroutine
	}
	e.current.Store(nil)
}

// call runs f, which is the program's, for c.
func (e *events) call(c *Conn, f func() error) (err error) {
	err = errNotReturned
	e.enter(c)
	defer e.leave(c, &err)
	return f()
}

// data calls the handler's Data.
func (e *events) data(c *Conn, in []byte, eof bool) (consumed int, err error) {
	err = errNotReturned
	e.enter(c)
	defer e.leave(c, &err)
	return e.handler.Data(c, in, eof)
}

// open begins to serve c.
func (e *events) open(c *Conn) {
	c.event.flags |= evOpened
	e.settle(c, e.call(c, func() error { return e.handler.Open(c) }))
}

// ready serves c, which the poller has reported.
func (e *events) ready(c *Conn) {
	switch {
	case c.event.is(evLingering):
		e.discard(c)
	case c.event.unsent() > 0:
		e.sendHeld(c)
		if kept := c.event.kept(); c.event.unsent() == 0 && len(kept) > 0 && !c.event.is(evEnding) {
			e.deliver(c, kept, c.event.is(evEOF))
			return
		}
		e.settle(c, nil)
	default:
		e.read(c)
	}
}

// read reads once and calls the handler.
func (e *events) read(c *Conn) {
	in := e.in
	kept := len(c.event.kept())
	if kept > readSize {
		in = c.event.held.grow(readSize)
	} else if kept > 0 {
		copy(in, c.event.held.in)
	}
	n, errno := readNow(int(c.event.fd), in[kept:min(kept+readSize, len(in))])
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return
	case errno != 0:
		c.readEnded.Store(true)
		c.noteError(errno)
		e.settle(c, c.opError("read", errno))
		return
	case n == 0:
		c.readEnded.Store(true)
		e.deliver(c, in[:kept], true)
		return
	}
	c.bytesIn.Store(c.bytesIn.Load() + uint64(n))
	c.lastByteAt.Store(e.now)
	e.fresh = c.requestAt.Load() == 0
	e.deliver(c, in[:kept+n:kept+n], false)
}

// grow returns in with room for n more bytes.
func (h *heldBytes) grow(n int) []byte {
	if cap(h.in)-len(h.in) < n {
		bigger := make([]byte, len(h.in), 2*cap(h.in)+n)
		copy(bigger, h.in)
		h.in = bigger
	}
	return h.in[:cap(h.in)]
}

var errConsumed = errors.New("handler has consumed more bytes than there are")

// deliver calls Data and keeps what it does not consume.
func (e *events) deliver(c *Conn, in []byte, eof bool) {
	if eof {
		c.event.flags |= evEOF
	}
	consumed, err := e.data(c, in, eof)
	if consumed < 0 || consumed > len(in) {
		consumed = len(in)
		if err == nil {
			err = errConsumed
		}
	}
	if consumed > 0 {
		c.event.flags |= evSpoke
	}
	rest := in[consumed:]
	if len(rest) > e.cfg.MaxMessage && err == nil && c.event.unsent() == 0 {
		rest, err = nil, ErrMessageTooLong
	}
	c.event.keep(rest)
	e.settle(c, err)
}

// keep makes rest the bytes that are not consumed.
func (e *eventState) keep(rest []byte) {
	if len(rest) > 0 {
		h := e.hold()
		if unsafe.SliceData(h.in) == unsafe.SliceData(rest) {
			h.in = h.in[:len(rest)] // a long message is not copied with each of its pieces
			return
		}
		if cap(h.in) > 4*len(rest)+readSize {
			h.in = nil
		}
		h.in = append(h.in[:0], rest...) // rest may be a part of h.in
	} else if e.held != nil {
		e.held.in = nil
		e.release()
	}
}

// settle ends a call of the handler for c: it sends what was written, and ends the
// connection if err, the client or the handler says so. Then it does the same for the
// other connections that the call has written to or closed.
func (e *events) settle(c *Conn, err error) {
	e.flush(c)
	e.settleOne(c, err)
	e.settleTouched()
}

// settleTouched settles the connections to which calls for others have written. If one
// had unsent bytes before, the poller says when to go on: ready then also delivers the
// bytes that its handler has left.
func (e *events) settleTouched() {
	for n := len(e.touched); n > 0; n = len(e.touched) {
		other := e.touched[n-1]
		e.touched[n-1] = nil
		e.touched = e.touched[:n-1]
		other.event.flags &^= evTouched
		if other.event.is(evEnded) {
			continue
		}
		if !other.event.is(evWriting) {
			e.sendHeld(other)
		}
		e.settleOne(other, nil)
	}
}

func (e *events) settleOne(c *Conn, err error) {
	ev := &c.event
	unsent := ev.unsent() > 0
	if ev.is(evWrote) && !unsent {
		ev.flags &^= evWrote
		e.countAnswer(c)
	}
	if e.fresh { // not answered
		e.fresh = false
		c.requestAt.Store(e.now)
	}
	if ev.is(evEnded) {
		return
	}
	if err == nil && ev.is(evBroken) {
		err = ev.hold().cause
	}
	ended := ev.is(evEOF) && !ev.is(evKeep) && (!unsent || len(ev.kept()) == 0)
	if err != nil || ended || ev.is(evClosed) {
		e.conclude(c, err)
		unsent = ev.unsent() > 0
	}
	if ev.is(evEndWrite) && !ev.is(evWriteEnded) && !unsent {
		_ = c.endWrite() // if it fails, so does the next read
		ev.flags |= evWriteEnded
	}
	if ev.is(evWriteEnded) && ev.is(evEOF) {
		ev.flags |= evEnding
	}
	if ev.is(evEnding) && !unsent {
		e.end(c)
		return
	}
	e.watch(c)
}

// countAnswer counts an answer that is sent. The clock is read once for several.
func (e *events) countAnswer(c *Conn) {
	if e.fresh {
		e.fresh = false
		if e.answered++; e.answered == observeEvery {
			e.observe()
		}
		return
	}
	if at := c.requestAt.Load(); at != 0 {
		c.requestAt.Store(0)
		e.slot.Latency.Observe(time.Duration(ipc.Now() - at))
	}
}

// observe counts the time of the last answers: since they were reported as readable.
func (e *events) observe() (now int64) {
	now = ipc.Now()
	if e.answered > 0 {
		e.slot.Latency.ObserveN(time.Duration(now-e.now), e.answered)
		e.answered = 0
	}
	return now
}
