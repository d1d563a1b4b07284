package worker

import (
	"cmp"
	"context"
	"net"
	"slices"

	"golang.org/x/sys/unix"
)

// closeByHandler is Conn.Close: what was written is sent first.
func (e *events) closeByHandler(c *Conn) error {
	return e.byHandler(c, "close", evClosed)
}

// closeWrite is Conn.CloseWrite.
func (e *events) closeWrite(c *Conn) error {
	return e.byHandler(c, "close", evEndWrite)
}

// byHandler notes what the handler wants. settle does it.
func (e *events) byHandler(c *Conn, op string, flag eventFlags) error {
	current := e.current.Load()
	switch {
	case current == nil:
		return c.opError(op, errOffLoop)
	case c.event.is(evClosed | evEnded):
		return c.opError(op, net.ErrClosed)
	}
	c.event.flags |= flag
	if c != current {
		e.touch(c)
	}
	return nil
}

// conclude decides that c ends when everything is sent. If it is a failure, HandleError
// may add to that.
func (e *events) conclude(c *Conn, err error) {
	ev := &c.event
	ev.flags |= evEnding
	if err == nil {
		return
	}
	if h := ev.hold(); isClean(h.cause) {
		h.cause = err
	}
	if !isClean(err) && !ev.is(evReported) {
		ev.flags |= evReported
		e.failed(c, err)
	}
}

// failed reports err.
func (e *events) failed(c *Conn, err error) {
	_ = e.call(c, func() error { e.handleError(e.ctx, c, err); return nil })
	e.flush(c)
}

// end calls the handler's Close and closes c.
func (e *events) end(c *Conn) {
	var cause error
	if h := c.event.held; h != nil {
		cause = h.cause
	}
	c.event.held = nil
	c.event.flags |= evEnded
	if c.event.is(evOpened) {
		why := cause
		if isClean(why) {
			why = nil
		}
		err := e.call(c, func() error { e.handler.Close(c, why); return nil })
		if err != nil {
			e.failed(c, err)
			cause = err
		}
	}
	e.finish(c, cause)
}

// finish is shutdown_request.
func (e *events) finish(c *Conn, cause error) {
	failed := !isClean(cause)
	e.out = e.out[:0]
	e.shutdown(c, failed)
	e.table.countEnd(c, failed)
	if !e.table.access.recordsConnections() {
		e.table.remove(c)
		return
	}
	go func() { // the access log may wait for a disk
		e.recordHandled(c, cause)
		e.table.remove(c)
	}()
}

// reject closes a connection that verify_request has refused.
func (e *events) reject(c *Conn) {
	e.flush(c)
	defer e.settleTouched()
	c.event.held = nil
	c.event.flags |= evEnded
	e.shutdown(c, true)
	go func() {
		if access := e.table.access; access.recordsConnections() {
			access.record(c, outcomeRejected, nil)
		}
		e.table.remove(c)
	}()
}

// shutdown closes c, or lets it linger; see conn_close.go.
func (e *events) shutdown(c *Conn, failed bool) {
	if !c.wasCut.Load() && !c.readEnded.Load() && c.endWrite() == nil && e.shouldLinger(c, failed) {
		if e.table.lingering.Add(1) <= maxLingering {
			c.event.flags |= evLingering
			c.event.hold().since = e.now
			e.lingering = append(e.lingering, c)
			e.watch(c)
			return
		}
		e.table.lingering.Add(-1)
	}
	e.close(c)
}

// discard reads what a lingering client sends.
func (e *events) discard(c *Conn) {
	n, errno := readNow(int(c.event.fd), e.in)
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return
	}
	if h := c.event.hold(); n > 0 {
		if h.lingered += n; h.lingered < lingerBytes {
			return
		}
	}
	e.endLinger(c)
}

func (e *events) endLinger(c *Conn) {
	i := slices.Index(e.lingering, c)
	e.lingering = slices.Delete(e.lingering, i, i+1)
	c.event.flags &^= evLingering
	e.close(c)
	e.table.lingering.Add(-1)
	e.table.wakeLoop()
}

// close closes the descriptor.
func (e *events) close(c *Conn) {
	e.unwatch(c)
	e.conns[c.event.fd] = nil
	e.closeDescriptor(c)
}

func (e *events) closeDescriptor(c *Conn) {
	c.closed.Store(true)
	e.fdMu.Lock()
	fd := int(c.event.fd)
	c.event.fd = -1
	e.fdMu.Unlock()
	if c.listener.network == "unix" {
		go unix.Close(fd) // see worker.reject
		return
	}
	_ = unix.Close(fd)
}

// cut closes c at once, and says whether it was open.
func (e *events) cut(c *Conn, cause error) bool {
	if c.event.is(evEnded) || c.wasCut.Swap(true) {
		return false
	}
	e.table.countEnd(c, true)
	e.breakOff(c, cause)
	e.settle(c, nil)
	return true
}

// cutAll cuts every connection and returns how many were open.
func (e *events) cutAll() (n int) {
	for _, c := range e.table.all() {
		if e.cut(c, cmp.Or(context.Cause(e.ctx), ErrStopped)) {
			n++
		}
	}
	return n
}

// closeAll ends what is left when the loop ends.
func (e *events) closeAll() {
	e.stall.stop()
	e.resume()
	e.cutAll()
	for len(e.lingering) > 0 {
		e.endLinger(e.lingering[0])
	}
	for _, c := range e.conns {
		if c != nil {
			e.close(c)
		}
	}
}
