package worker

import (
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// write is Conn.Write.
func (e *events) write(c *Conn, b []byte) (int, error) {
	ev := &c.event
	current := e.current.Load()
	switch {
	case current == nil:
		return 0, c.opError("write", errOffLoop)
	case ev.is(evClosed | evEnded | evEndWrite):
		return 0, c.opError("write", net.ErrClosed)
	case ev.is(evBroken):
		return 0, ev.hold().cause
	case len(b) == 0:
		return 0, nil
	}
	ev.flags |= evWrote
	if c != current {
		e.touch(c)
		return e.writeToOther(c, b)
	}
	if len(e.out)+len(b) > sendSize {
		e.flush(c)
	}
	switch {
	case ev.unsent() > 0:
		return e.holdUnsent(c, b)
	case len(e.out) == 0 && len(b) >= directSize:
		return len(b), e.send(c, b)
	}
	e.out = append(e.out, b...)
	return len(b), nil
}

// writeToOther is write for a connection that is not the current one. settle sends what
// it holds. If that is much, it is sent before.
func (e *events) writeToOther(c *Conn, b []byte) (int, error) {
	ev := &c.event
	if !ev.is(evWriting) && ev.unsent()+len(b) > min(sendSize, e.cfg.MaxUnsent) {
		e.sendHeld(c)
		if ev.unsent() == 0 {
			return len(b), e.send(c, b)
		}
	}
	return e.holdUnsent(c, b)
}

// touch makes settle look at c, which is not the current connection.
func (e *events) touch(c *Conn) {
	if !c.event.is(evTouched) {
		c.event.flags |= evTouched
		e.touched = append(e.touched, c)
	}
}

// holdUnsent keeps b until the client takes it.
func (e *events) holdUnsent(c *Conn, b []byte) (int, error) {
	h := c.event.hold()
	if len(h.out)+len(b) > e.cfg.MaxUnsent {
		e.breakOff(c, ErrUnsent)
		return 0, ErrUnsent
	}
	if len(h.out) == 0 {
		h.since = e.now
	}
	h.out = append(h.out, b...)
	return len(b), nil
}

// breakOff gives up what c has to send. settle ends the connection.
func (e *events) breakOff(c *Conn, why error) {
	h := c.event.hold()
	h.out = nil
	if isClean(h.cause) {
		h.cause = why
	}
	c.event.flags |= evBroken
}

// flush sends what the call of the handler has written to its connection.
func (e *events) flush(c *Conn) {
	if b := e.out; len(b) > 0 {
		e.out = b[:0]
		if c.event.unsent() > 0 {
			_, _ = e.holdUnsent(c, b) // settle sees the error
		} else {
			_ = e.send(c, b)
		}
	}
}

// send sends b, and keeps what the kernel does not take. Nothing must be unsent.
func (e *events) send(c *Conn, b []byte) error {
	if c.event.is(evBroken) {
		return c.event.hold().cause
	}
	n, errno := writeNow(int(c.event.fd), b)
	if errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR {
		c.noteError(errno)
		err := c.opError("write", errno)
		e.breakOff(c, err)
		return err
	}
	e.sent(c, n)
	if n < len(b) {
		_, err := e.holdUnsent(c, b[n:])
		return err
	}
	return nil
}

// sendHeld sends what is unsent, as much as the kernel takes.
func (e *events) sendHeld(c *Conn) {
	h := c.event.held
	if h == nil || len(h.out) == 0 {
		return
	}
	n, errno := writeNow(int(c.event.fd), h.out)
	if errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR {
		c.noteError(errno)
		e.breakOff(c, c.opError("write", errno))
		return
	}
	if n == 0 {
		return
	}
	e.sent(c, n)
	h.since = e.now
	h.out = h.out[n:]
	if len(h.out) == 0 {
		h.out = nil
		c.event.release()
	}
}

// sent counts n bytes.
func (e *events) sent(c *Conn, n int) {
	if n > 0 {
		c.bytesOut.Store(c.bytesOut.Load() + uint64(n))
		if c.lastByteAt.Load() != e.now {
			c.lastByteAt.Store(e.now)
		}
	}
}

// The descriptors are non-blocking, so the scheduler need not know of the calls.

// readNow is read(2) without waiting.
func readNow(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// writeNow is write(2) without waiting, and without a signal if the client is gone.
func writeNow(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
