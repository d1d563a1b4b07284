package worker

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The timeouts that the sweep finds. The texts are the keys of the configuration.
var (
	errHandlerTimeout   = fmt.Errorf("handler_timeout: %w", os.ErrDeadlineExceeded)
	errHandshakeTimeout = fmt.Errorf("handshake_timeout: %w", os.ErrDeadlineExceeded)
	errWriteTimeout     = fmt.Errorf("write_timeout: %w", os.ErrDeadlineExceeded)
	errIdleTimeout      = fmt.Errorf("idle_timeout: %w", os.ErrDeadlineExceeded)
	errReadTimeout      = fmt.Errorf("read_timeout: %w", os.ErrDeadlineExceeded)

	// errDrainIdle is Config.DrainIdle, which the handler sees as EOF.
	errDrainIdle = errors.New("drain_idle")
)

// overdue is a connection that has exceeded a timeout.
type overdue struct {
	conn *Conn
	why  error
}

// sweep counts the bytes of every connection and ends those that have exceeded a
// timeout.
func (e *events) sweep(now int64) {
	e.now = now
	var late []overdue
	e.table.each(func(c *Conn) {
		e.table.countBytesLocked(c)
		if why := e.checkTimeouts(c, now); why != nil {
			late = append(late, overdue{c, why})
		}
	})
	for _, o := range late {
		e.endOverdue(o.conn, o.why)
	}
}

// checkTimeouts returns the timeout that c has exceeded, or nil.
func (e *events) checkTimeouts(c *Conn, now int64) error {
	ev := &c.event
	exceeded := func(since int64, limit time.Duration) bool { return limit > 0 && now-since >= int64(limit) }
	resumed := e.table.resumedAt.Load()
	switch {
	case ev.is(evEnded):
		return nil
	case exceeded(c.acceptedAt, e.cfg.HandlerTimeout):
		return errHandlerTimeout
	case ev.unsent() > 0:
		if exceeded(max(ev.held.since, resumed), e.cfg.WriteTimeout) {
			return errWriteTimeout
		}
		return nil
	case ev.is(evEOF):
		return nil
	case !ev.is(evSpoke) && exceeded(max(c.acceptedAt, resumed), e.cfg.HandshakeTimeout):
		return errHandshakeTimeout
	}
	if e.table.checkIdle(c, now) == idleInDrain {
		return errDrainIdle
	}
	silentSince := c.idleSince(max(c.acceptedAt, resumed))
	switch {
	case exceeded(silentSince, e.cfg.IdleTimeout):
		return errIdleTimeout
	case exceeded(silentSince, e.cfg.ReadTimeout):
		return errReadTimeout
	}
	return nil
}

// endOverdue ends c, unless its client has sent something meanwhile that makes it active.
func (e *events) endOverdue(c *Conn, why error) {
	if c.event.is(evEnded) {
		return // by the handler of another one
	}
	switch {
	case errors.Is(why, errHandlerTimeout):
		e.cut(c, why)
		return
	case errors.Is(why, errHandshakeTimeout), errors.Is(why, errWriteTimeout):
		e.breakOff(c, why)
		e.settle(c, nil)
		return
	}
	var b [1]byte
	if _, _, err := unix.Recvfrom(int(c.event.fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT); err != unix.EAGAIN {
		return // the loop reads it
	}
	if errors.Is(why, errDrainIdle) {
		e.deliver(c, c.event.kept(), true)
		return
	}
	c.event.idled = errors.Is(why, errIdleTimeout)
	e.settle(c, why)
}

// tick does the periodic work.
func (e *events) tick(now int64) {
	e.now = now
	e.stall.tick()
	for i := len(e.lingering) - 1; i >= 0; i-- {
		if c := e.lingering[i]; now-c.event.hold().since >= int64(lingerTime) {
			e.endLinger(c)
		}
	}
}
