package worker

import (
	"cmp"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// Idle connections have no timers, so that ten thousand of them cost nothing. The
// loop sweeps over the table:
//
//	loop                           the goroutine in Read
//	 │ sweep: idle for too long      │ waits
//	 │── idle, a deadline ──────────►│ wakes with a timeout
//	 │   in the past                 │ confirmIdle: else it waits on
//	                                 │ reads once more without waiting:
//	                                 │   bytes ─► returns them, not idle
//	                                 │   none ──► EOF, or a timeout
//
// Read checks again under the lock, because bytes may have come, or the handler may
// not have been in Read, since the sweep looked. It reads once more because bytes may
// have come since that. A byte that comes even later finds the connection closed, as
// if the client had sent it a moment later.

// idleReason says why the loop has ended a Read.
type idleReason uint8

const (
	notIdle     idleReason = iota
	idleInDrain            // silent for Config.DrainIdle in a drain: EOF
	idleTooLong            // silent for Config.IdleTimeout: a timeout
)

// longAgo is a deadline in the past.
var longAgo = time.Unix(1, 0)

// beforeRead prepares a read and applies Config.ReadTimeout.
func (c *Conn) beforeRead() error {
	if c.table.trackActivity.Load() {
		// A client is not idle while the handler computes, but it is while the
		// handler calls Read again and again with short deadlines.
		if in := c.bytesIn.Load(); in != c.bytesAtWait.Load() {
			c.bytesAtWait.Store(in)
			c.readingSince.Store(ipc.Now())
		}
	}
	timeout := c.table.cfg.ReadTimeout
	if timeout <= 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readLimit = time.Now().Add(timeout)
	return c.applyReadLocked()
}

// beforeWrite applies Config.WriteTimeout. To set a timer is expensive, so one is
// for several writes: each has the timeout, and at most half of it more.
func (c *Conn) beforeWrite() error {
	timeout := c.table.cfg.WriteTimeout
	if timeout <= 0 {
		return nil
	}
	now := ipc.Now()
	if at := c.writeLimitSet.Load(); at != 0 && now-at < int64(timeout/2) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeLimitSet.Store(now)
	c.writeLimit = time.Now().Add(timeout + timeout/2)
	return c.applyWriteLocked()
}

// SetDeadline sets both deadlines. A timeout of Config that ends earlier still holds.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the deadline of Read; zero is none.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.stream == nil {
		return c.opError("set", errInEvent)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readDeadline = t
	return c.applyReadLocked()
}

// SetWriteDeadline sets the deadline of Write; zero is none.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if c.stream == nil {
		return c.opError("set", errInEvent)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeDeadline = t
	return c.applyWriteLocked()
}

func (c *Conn) applyReadLocked() error {
	t := earlier(c.readDeadline, c.readLimit)
	if c.idle != notIdle {
		t = longAgo
	}
	if err := c.file.SetReadDeadline(t); err != nil {
		return c.opError("set", err)
	}
	return nil
}

func (c *Conn) applyWriteLocked() error {
	if err := c.file.SetWriteDeadline(earlier(c.writeDeadline, c.writeLimit)); err != nil {
		return c.opError("set", err)
	}
	return nil
}

// interruptRead ends a Read that waits for an idle client.
func (c *Conn) interruptRead(why idleReason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle == notIdle {
		c.idle = why
		_ = c.applyReadLocked() // fails only if the connection is closed
	}
}

// readFailed returns what Read returns when its system call failed with err, or
// again to repeat it.
func (c *Conn) readFailed(b []byte, err error) (n int, result error, again bool) {
	if err == io.EOF {
		c.readEnded.Store(true)
		return 0, io.EOF, false
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		c.readEnded.Store(true)
		c.noteError(err)
		return 0, c.opError("read", err), false
	}
	why, again := c.confirmIdle()
	if again {
		return 0, nil, true
	}
	if why == notIdle && !c.readTimedOut() {
		return 0, c.opError("read", err), false
	}
	n, late := c.tryRead(b)
	switch {
	case n > 0:
		c.received(n)
		c.clearIdle()
		return n, nil, false
	case late == io.EOF:
		c.readEnded.Store(true)
		return 0, io.EOF, false
	case late != unix.EAGAIN:
		c.noteError(late)
		return 0, c.opError("read", late), false
	case why == idleInDrain:
		return 0, io.EOF, false
	}
	return 0, c.opError("read", err), false
}

// confirmIdle says why the sweep has interrupted a Read. again means that the
// connection is not idle any more, so the Read must go on.
func (c *Conn) confirmIdle() (why idleReason, again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle == notIdle {
		return notIdle, false
	}
	if t := earlier(c.readDeadline, c.readLimit); !t.IsZero() && !time.Now().Before(t) {
		return notIdle, false // the deadline has passed as well
	}
	if c.table.checkIdle(c, ipc.Now()) == notIdle {
		c.idle = notIdle
		_ = c.applyReadLocked() // if it fails, so does the next read
		return notIdle, true
	}
	return c.idle, false
}

// readTimedOut says that Config.ReadTimeout has passed and no deadline of the
// handler. Then bytes are accepted that came while this process did not run.
func (c *Conn) readTimedOut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.readLimit.IsZero() && (c.readDeadline.IsZero() || time.Now().Before(c.readDeadline))
}

// clearIdle undoes interruptRead.
func (c *Conn) clearIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = notIdle
	_ = c.applyReadLocked() // if it fails, so does the next read
}

// tryRead reads without waiting, also after the deadline. The error is unix.EAGAIN
// if there is nothing to read.
func (c *Conn) tryRead(b []byte) (int, error) {
	n := 0
	var rerr error
	err := c.withDescriptor(func(fd int) {
		n, rerr = ignoreEINTR(func() (int, error) {
			n, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT)
			return n, err
		})
	})
	switch err = cmp.Or(err, rerr); {
	case err != nil:
		return 0, err
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// earlier returns the earlier of two deadlines; zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// deadlines limit a connection's reads and writes: the handler's and the worker's,
// of which the earlier wins.
type deadlines struct {
	mu            sync.Mutex // guards what follows, and the order of calls that set the file's deadlines
	readDeadline  time.Time  // by SetReadDeadline
	readLimit     time.Time  // of the current Read, from Config.ReadTimeout
	writeDeadline time.Time
	writeLimit    time.Time
	writeLimitSet atomic.Int64 // when writeLimit was set, in ipc.Now's time
	idle          idleReason   // if not notIdle, the read deadline is longAgo
}
