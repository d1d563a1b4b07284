package worker

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// acceptResult is what came of an accept.
type acceptResult uint8

const (
	acceptEmpty     acceptResult = iota // the queue is empty
	acceptContinue                      // success, or an error of one connection
	acceptExhausted                     // no descriptors or memory are left
	acceptBroken                        // the listener is unusable
)

func classifyAccept(err error) acceptResult {
	errno, _ := err.(unix.Errno) //nolint:errorlint // accept4(2) returns it as it is
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

// acceptFailed handles an error of accept.
func (l *loop) acceptFailed(ln *listener, v acceptResult, err error, now int64) {
	switch v {
	case acceptEmpty:
		l.acceptRecovered(now)
	case acceptContinue:
		l.exhaustion.countFailure(now)
		l.log.Debug("accept failed", zap.String("listener", ln.info.name), zap.Error(err))
	case acceptExhausted:
		l.pause(ln, err, now)
	case acceptBroken:
		if err == unix.EINVAL && l.channel != nil {
			l.retryLater(ln, err, now)
			return
		}
		l.giveUp(ln, err)
	}
}

// pause stops accepting for a moment, or until a connection ends.
func (l *loop) pause(ln *listener, err error, now int64) {
	l.table.loopWaits.Store(true)
	if l.exhaustion.begin(now) {
		text := "accept paused, out of descriptors"
		if !errors.Is(err, unix.EMFILE) && !errors.Is(err, unix.ENFILE) {
			text = "accept paused, out of kernel memory"
		}
		l.log.Warn(text, zap.String("listener", ln.info.name), zap.Error(err))
	}
}

// retryLater waits for the master to repair a listener that was shut down.
func (l *loop) retryLater(ln *listener, err error, now int64) {
	if !ln.notListening {
		l.log.Error("listener broken", zap.String("listener", ln.info.name), zap.Error(err))
	}
	ln.notListening, ln.retryAt = true, now+int64(tickNormal)
	l.watch(ln, false)
}

// listenerLost is the order to drain after a listener was given up.
type listenerLost struct{ err error }

// giveUp closes a listener that this worker cannot use, and makes the worker
// drain, so that the master replaces it. The drain is an order in the inbox because
// the caller may be iterating over the listeners.
func (l *loop) giveUp(ln *listener, err error) {
	l.log.Error("listener broken", zap.String("listener", ln.info.name), zap.Error(err))
	l.closeListener(ln)
	l.inbox.post(listenerLost{fmt.Errorf("listener %q: %w", ln.info.name, err)})
}

func (l *loop) listenerLost(now int64, err error) {
	if l.draining() || l.lastTaken || l.exitErr != nil {
		return
	}
	l.exitErr = failure(err)
	l.beginDrain(now, drainOrder{timeout: l.cfg.DrainTimeout, ownDecision: true})
}

// exhaustion is the pause when no descriptors are left, or when accept fails again
// and again. It is logged when it begins, and when it has been over for a second: in
// a worker at its limit each connection that ends makes room for one.
type exhaustion struct {
	on       bool          // no descriptors are left
	last     int64         // when accept last failed for that reason
	retry    int64         // no accept before then; 0 is now
	delay    time.Duration // the current one
	failures int           // failed accepts in a row
}

const (
	exhaustionFirst = 50 * time.Millisecond // then doubled
	exhaustionMax   = time.Second
	exhaustionQuiet = time.Second // without a failure: over
	maxFailures     = 8           // in a row without a pause
)

// begin starts or prolongs the pause, and says whether it is a new one.
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

// acceptRecovered ends the pause.
func (l *loop) acceptRecovered(now int64) {
	e := &l.exhaustion
	e.retry, e.delay, e.failures = 0, 0, 0
	if e.on && now-e.last >= int64(exhaustionQuiet) {
		e.on = false
		l.log.Info("accept resumed")
	}
}

// retryAccept accepts again after a pause, or when a connection has ended. It calls
// accept instead of waiting for the poller: with an empty queue the worker would
// stay paused.
func (l *loop) retryAccept(now int64) {
	e := &l.exhaustion
	if !e.on {
		if now >= e.retry {
			e.retry = 0
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
	for i := range l.listeners {
		ln := l.listeners[(l.firstArmed+i)%len(l.listeners)]
		if l.acceptsFrom(ln) && l.acceptOne(ln, now) != acceptEmpty {
			return
		}
	}
}
