package worker

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// acceptResult says what an error of accept means.
type acceptResult uint8

const (
	acceptEmpty     acceptResult = iota // nobody waits, or a sibling was faster
	acceptContinue                      // that one connection failed: accept(2) says to go on
	acceptExhausted                     // the process or the machine has run out
	acceptBroken                        // the listener cannot be used any more
)

func classifyAccept(errno unix.Errno) acceptResult {
	switch errno {
	case unix.EAGAIN:
		return acceptEmpty
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
		return acceptExhausted
	case unix.EBADF, unix.EINVAL, unix.ENOTSOCK, unix.EOPNOTSUPP, unix.EFAULT:
		return acceptBroken
	}
	return acceptContinue
}

// acceptFailed deals with an error of accept.
func (l *loop) acceptFailed(ln *listener, v acceptResult, errno unix.Errno, now int64) {
	switch v {
	case acceptEmpty:
		l.acceptRecovered(now)
	case acceptContinue:
		l.exhaustion.countFailure(now)
		l.log.Debug("accept failed", zap.String("listener", ln.info.name), zap.Error(errno))
	case acceptExhausted:
		l.pause(ln, errno, now)
	case acceptBroken:
		if errno == unix.EINVAL && l.channel != nil {
			l.retryLater(ln, errno, now)
			return
		}
		l.giveUp(ln, errno)
	}
}

// pause waits for the process or the machine to have room again.
func (l *loop) pause(ln *listener, err error, now int64) {
	l.table.loopWaits.Store(true) // a connection that ends is a reason to try again
	if l.exhaustion.begin(now) {
		text := "accept paused, out of descriptors"
		if !errors.Is(err, unix.EMFILE) && !errors.Is(err, unix.ENFILE) {
			text = "accept paused, out of kernel memory"
		}
		l.log.Warn(text, zap.String("listener", ln.info.name), zap.Error(err))
	}
}

// retryLater leaves a listener alone that somebody has shut down, for a successor of
// this worker as well: the master will repair it.
func (l *loop) retryLater(ln *listener, err error, now int64) {
	if !ln.notListening {
		l.log.Error("listener broken", zap.String("listener", ln.info.name), zap.Error(err))
	}
	ln.notListening, ln.retryAt = true, now+int64(tickNormal)
	l.watch(ln, false)
}

// listenerLost is the order to leave after a listener was given up.
type listenerLost struct{ err error }

// giveUp abandons a listener that a successor of this worker could use: it
// leaves, for the master to replace it. By an order, because the caller may be
// in the midst of a turn.
func (l *loop) giveUp(ln *listener, err error) {
	l.abandon(ln, err)
	l.inbox.post(listenerLost{fmt.Errorf("listener %q: %w", ln.info.name, err)})
}

// listenerLost begins the drain of a worker that is deaf, in part or whole.
func (l *loop) listenerLost(now int64, err error) {
	if l.draining() || l.lastTaken || l.exitErr != nil {
		return // it goes, or does not need the listener any more
	}
	l.exitErr = failure(err)
	l.beginDrain(now, drainOrder{timeout: l.cfg.DrainTimeout, ownDecision: true})
}

// abandon gives a listener up that cannot be used.
func (l *loop) abandon(ln *listener, err error) {
	l.log.Error("listener broken", zap.String("listener", ln.info.name), zap.Error(err))
	l.closeListener(ln)
}

// exhaustion is the pause after accept said that there are no descriptors, or
// after errors that keep coming. In a worker that lives at its limit every
// connection that ends makes room for one, so the log hears of the beginning
// and of a lasting end, not of every breath in between.
type exhaustion struct {
	on       bool          // said to be out of descriptors
	last     int64         // when accept last said so
	retry    int64         // no accept before; 0 is now
	delay    time.Duration // the current one
	failures int           // failed accepts in a row
}

const (
	exhaustionFirst = 50 * time.Millisecond // then doubled
	exhaustionMax   = time.Second
	exhaustionQuiet = time.Second // without a lack: over
	maxFailures     = 8           // failed accepts in a row without a pause
)

// begin starts or prolongs the pause, and reports whether it is a new one.
func (e *exhaustion) begin(now int64) bool {
	first := !e.on
	e.on, e.last = true, now
	e.delay = min(max(exhaustionFirst, 2*e.delay), exhaustionMax)
	e.retry = now + int64(e.delay)
	return first
}

// countFailure counts a failed accept; after several in a row it pauses.
func (e *exhaustion) countFailure(now int64) {
	if e.failures++; e.failures >= maxFailures {
		e.retry = now + int64(exhaustionFirst)
	}
}

// acceptRecovered notes an accept that did not lack anything.
func (l *loop) acceptRecovered(now int64) {
	e := &l.exhaustion
	e.retry, e.delay, e.failures = 0, 0, 0
	if e.on && now-e.last >= int64(exhaustionQuiet) {
		e.on = false
		l.log.Info("accept resumed")
	}
}

// retryAccept tries again when it is time, or when a connection has ended. It
// asks accept itself: with an empty queue the poller would not say a word, and
// the worker would call itself paused for ever.
func (l *loop) retryAccept(now int64) {
	e := &l.exhaustion
	if !e.on {
		if now >= e.retry {
			e.retry = 0 // the pause after skips is over
		}
		return
	}
	if e.retry == 0 {
		l.acceptRecovered(now)
		return
	}
	freed := !l.table.loopWaits.Swap(true)
	if !freed && now < e.retry || !l.mayAccept() {
		return
	}
	// All that are quiet, and one connection: a listener that cannot be watched
	// must not wait for one that nobody comes to.
	for i := range l.listeners {
		ln := l.listeners[(l.firstArmed+i)%len(l.listeners)]
		if l.acceptsFrom(ln) && l.acceptOne(ln, now) != acceptEmpty {
			return
		}
	}
}
