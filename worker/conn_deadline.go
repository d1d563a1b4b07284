package worker

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// A silent connection is noticed by the loop's sweep over the table, not by a
// timer of its own, so that ten thousand idle connections cost nothing:
//
//	loop                           the goroutine in Read
//	 │ sweep: silent for too long    │ waits
//	 │── lapsed, deadline ──────────►│ wakes with a timeout
//	 │   in the past                 │ silent indeed? else wait on
//	                                 │ reads once more without waiting:
//	                                 │   bytes ─► the lapse is forgotten
//	                                 │   none ──► EOF, or a timeout
//
// The second look under the lock is needed because the sweep may have judged
// by what it saw just before bytes came, or a handler that was at work and not
// in Read at all; the third, of the socket itself, because bytes may have come
// between the deadline and the look. A byte that comes after that meets a
// connection that is being closed. No server can tell that from a byte that
// was sent a moment later.

// idleReason says why the loop has ended a connection's wait.
type idleReason uint8

const (
	notIdle     idleReason = iota
	idleInDrain            // silent for Config.DrainIdle in a drain: reads EOF
	idleTooLong            // silent for Config.IdleTimeout: reads a timeout
)

// longAgo is a deadline that has always passed.
var longAgo = time.Unix(1, 0)

// beforeRead prepares a read: it notes when it began and applies
// Config.ReadTimeout.
func (c *Conn) beforeRead() error {
	if c.table.trackActivity.Load() {
		// A handler that has computed for long was not waiting for its client.
		// One that polls with short deadlines is: only bytes move the mark.
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

// beforeWrite applies Config.WriteTimeout. To set a timer costs more than the
// rest, so it stands for several writes: each has the timeout, and at most half
// of it more.
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

// SetDeadline sets both deadlines, as net.Conn has it. A timeout of Config
// that comes earlier still holds.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the deadline of Read; zero is none.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readDeadline = t
	return c.applyReadLocked()
}

// SetWriteDeadline sets the deadline of Write; zero is none.
func (c *Conn) SetWriteDeadline(t time.Time) error {
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

// interruptRead ends the wait for a client that is silent. The sweep calls it.
func (c *Conn) interruptRead(why idleReason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle == notIdle {
		c.idle = why
		_ = c.applyReadLocked() // fails only on a closed connection, which is as well
	}
}

// readFailed decides what a Read returns whose system call failed with err, or
// whether it must be tried again.
func (c *Conn) readFailed(b []byte, err error) (n int, result error, again bool) {
	if err == io.EOF {
		c.readEnded.Store(true)
		return 0, io.EOF, false
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		c.readEnded.Store(true) // a broken stream has nothing more to say
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

// confirmIdle says why the sweep ended a wait, if it did and was right. again
// means that it was wrong and the wait goes on.
func (c *Conn) confirmIdle() (why idleReason, again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle == notIdle {
		return notIdle, false
	}
	if t := earlier(c.readDeadline, c.readLimit); !t.IsZero() && !time.Now().Before(t) {
		return notIdle, false // the deadline would have ended it as well
	}
	if c.table.checkIdle(c, ipc.Now()) == notIdle {
		c.idle = notIdle
		_ = c.applyReadLocked() // the read that follows says it
		return notIdle, true
	}
	return c.idle, false
}

// readTimedOut says that it was Config.ReadTimeout that passed, and no deadline of the
// handler's: bytes that came while this process did not run are then taken.
func (c *Conn) readTimedOut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.readLimit.IsZero() && (c.readDeadline.IsZero() || time.Now().Before(c.readDeadline))
}

// clearIdle takes a lapse back after bytes that came late.
func (c *Conn) clearIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = notIdle
	_ = c.applyReadLocked() // the next read says it
}

// tryRead reads without waiting and whatever the deadline: unix.EAGAIN means
// that nothing is there.
func (c *Conn) tryRead(b []byte) (int, error) {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	n := 0
	var rerr error
	err = raw.Control(func(fd uintptr) {
		for {
			n, _, rerr = unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT)
			if rerr != unix.EINTR {
				return
			}
		}
	})
	switch {
	case err != nil:
		return 0, err
	case rerr != nil:
		return 0, rerr
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// earlier returns the earlier of two deadlines, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// deadlines are what bounds a connection's reads and writes: the handler's own
// and the worker's, of which the earlier wins.
type deadlines struct {
	mu            sync.Mutex // guards what follows, and the order in which the file's deadlines are set
	readDeadline  time.Time  // by SetReadDeadline
	readLimit     time.Time  // of the current Read, from Config.ReadTimeout
	writeDeadline time.Time
	writeLimit    time.Time
	writeLimitSet atomic.Int64 // when writeBound was set, in ipc.Now's time
	idle          idleReason   // stands in for both read deadlines
}
