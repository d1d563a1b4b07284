package worker

import (
	"slices"
	"time"
)

// The loop wakes at least once a tick.
//
// A tick also finds stranded connections. An exclusive wake-up is lost if the
// process that got it is stopped or dies before it accepts: the connection waits,
// and the kernel wakes nobody else. So each tick the worker leaves the queue of
// waiters and joins it again; then the kernel reports what already waits.
//
// A tick costs an idle worker some 150 µs, nearly all of it in the Go runtime, whose
// monitor wakes up as well. So all periodic work shares a tick, and ticks are rare when
// no worker of the generation has accepted a connection for idleAfter.
const (
	tickNormal = 100 * time.Millisecond
	tickIdle   = 500 * time.Millisecond
	idleAfter  = time.Second
)

// tick does the periodic work.
func (l *loop) tick(now int64) {
	if now >= l.nextActions {
		l.nextActions = l.next(now, l.cfg.PollInterval)
		l.callHook("service actions", l.opt.Hooks.ServiceActions)
	}
	if now >= l.nextReport {
		l.nextReport = l.next(now, reportInterval)
		l.table.sweep(now)
		l.report()
		l.logSuppressed()
	}
	if now < l.nextTick {
		return
	}
	if l.events != nil {
		l.events.tick(now)
	}
	l.table.staying(now)     // publishes it
	l.gate.refreshPeers(now) // tickInterval needs lastChange
	l.nextTick = l.next(now, l.tickInterval(now))
	if l.needsSweep() {
		l.table.sweep(now)
	}
	l.rejoin(now)
}

// next returns when work is due again that is done once an interval. All intervals
// count from the loop's start, so that one wake-up of an idle worker does all work.
func (l *loop) next(now int64, interval time.Duration) int64 {
	return now + int64(interval) - (now-l.startedAt)%int64(interval)
}

// tickInterval is a quarter of the shortest idle limit, at most.
func (l *loop) tickInterval(now int64) time.Duration {
	interval := min(l.cfg.PollInterval, tickNormal)
	if now-l.gate.lastChange >= int64(idleAfter) {
		interval = min(l.cfg.PollInterval, tickIdle)
	}
	limits := l.sweptLimits()
	if l.draining() {
		interval = min(interval, tickNormal)
		limits = append(limits, l.cfg.DrainIdle)
	}
	for _, limit := range limits {
		if limit > 0 {
			interval = min(interval, max(limit/4, time.Millisecond))
		}
	}
	return interval
}

// needsSweep says whether a sweep with each report is too rare.
func (l *loop) needsSweep() bool {
	return l.draining() || slices.ContainsFunc(l.sweptLimits(), func(limit time.Duration) bool {
		return limit > 0 && limit < 10*reportInterval
	})
}

// sweptLimits returns the timeouts that the sweep finds, apart from a drain's.
func (l *loop) sweptLimits() []time.Duration {
	limits := []time.Duration{l.cfg.IdleTimeout, l.cfg.HandlerTimeout}
	if l.events != nil {
		limits = append(limits, l.cfg.ReadTimeout, l.cfg.WriteTimeout, l.cfg.HandshakeTimeout)
	}
	return limits
}
