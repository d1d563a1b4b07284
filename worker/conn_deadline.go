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

// lapse says why the loop has ended a connection's wait.
type lapse uint8

const (
	lapsedNot     lapse = iota
	lapsedDrained       // silent for Config.DrainIdle in a drain: reads EOF
	lapsedIdle          // silent for Config.IdleTimeout: reads a timeout
)

// longAgo is a deadline that has always passed.
var longAgo = time.Unix(1, 0)

// beforeRead prepares a read: it notes when it began and applies
// Config.ReadTimeout.
func (c *Conn) beforeRead() error {
	if c.table.tracking.Load() {
		// A handler that has computed for long was not waiting for its client.
		// One that polls with short deadlines is: only bytes move the mark.
		if in := c.bytesIn.Load(); in != c.waitedWith.Load() {
			c.waitedWith.Store(in)
			c.waitFrom.Store(ipc.Now())
		}
	}
	timeout := c.table.cfg.ReadTimeout
	if timeout <= 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readBound = time.Now().Add(timeout)
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
	if at := c.writeArmed.Load(); at != 0 && now-at < int64(timeout/2) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeArmed.Store(now)
	c.writeBound = time.Now().Add(timeout + timeout/2)
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
	c.readUser = t
	return c.applyReadLocked()
}

// SetWriteDeadline sets the deadline of Write; zero is none.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeUser = t
	return c.applyWriteLocked()
}

func (c *Conn) applyReadLocked() error {
	t := earlier(c.readUser, c.readBound)
	if c.lapsed != lapsedNot {
		t = longAgo
	}
	if err := c.file.SetReadDeadline(t); err != nil {
		return c.opError("set", err)
	}
	return nil
}

func (c *Conn) applyWriteLocked() error {
	if err := c.file.SetWriteDeadline(earlier(c.writeUser, c.writeBound)); err != nil {
		return c.opError("set", err)
	}
	return nil
}

// lapseNow ends the wait for a client that is silent. The sweep calls it.
func (c *Conn) lapseNow(why lapse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lapsed == lapsedNot {
		c.lapsed = why
		_ = c.applyReadLocked() // fails only on a closed connection, which is as well
	}
}

// readFailed decides what a Read returns whose system call failed with err, or
// whether it must be tried again.
func (c *Conn) readFailed(b []byte, err error) (n int, result error, again bool) {
	if err == io.EOF {
		c.ended.Store(true)
		return 0, io.EOF, false
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		c.ended.Store(true) // a broken stream has nothing more to say
		c.met(err)
		return 0, c.opError("read", err), false
	}
	why, again := c.lapsedTruly()
	if again {
		return 0, nil, true
	}
	if why == lapsedNot && !c.ranOut() {
		return 0, c.opError("read", err), false
	}
	n, late := c.tryRead(b)
	switch {
	case n > 0:
		c.received(n)
		c.forget()
		return n, nil, false
	case late == io.EOF:
		c.ended.Store(true)
		return 0, io.EOF, false
	case late != unix.EAGAIN:
		c.met(late)
		return 0, c.opError("read", late), false
	case why == lapsedDrained:
		return 0, io.EOF, false
	}
	return 0, c.opError("read", err), false
}

// lapsedTruly says why the sweep ended a wait, if it did and was right. again
// means that it was wrong and the wait goes on.
func (c *Conn) lapsedTruly() (why lapse, again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lapsed == lapsedNot {
		return lapsedNot, false
	}
	if t := earlier(c.readUser, c.readBound); !t.IsZero() && !time.Now().Before(t) {
		return lapsedNot, false // the deadline would have ended it as well
	}
	if c.table.overdue(c, ipc.Now()) == lapsedNot {
		c.lapsed = lapsedNot
		_ = c.applyReadLocked() // the read that follows says it
		return lapsedNot, true
	}
	return c.lapsed, false
}

// ranOut says that it was Config.ReadTimeout that passed, and no deadline of the
// handler's: bytes that came while this process did not run are then taken.
func (c *Conn) ranOut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.readBound.IsZero() && (c.readUser.IsZero() || time.Now().Before(c.readUser))
}

// forget takes a lapse back after bytes that came late.
func (c *Conn) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lapsed = lapsedNot
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
	mu         sync.Mutex // guards what follows, and the order in which the file's deadlines are set
	readUser   time.Time  // by SetReadDeadline
	readBound  time.Time  // of the current Read, from Config.ReadTimeout
	writeUser  time.Time
	writeBound time.Time
	writeArmed atomic.Int64 // when writeBound was set, in ipc.Now's time
	lapsed     lapse        // stands in for both read deadlines
}
