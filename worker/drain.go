package worker

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"prefork/ipc"
)

// A drain, in the loop's phases:
//
//	accepting ──hold──► held ──resume──► accepting
//	    │                 │
//	    └──────drain──────┤
//	                      ▼
//	                  emptying   own listeners: accept until the grace has
//	                      │      passed and the queue is empty
//	                      ▼
//	                  draining   connections finish; idle ones read EOF
//	                      │
//	                      ├── none left ─────────────────────────► done
//	                      ▼ deadline
//	                  cutting    contexts end; after cutGrace the connections
//	                      │      are closed; after handlersGrace the worker ends
//	                      └──────────────────────────────────────► done
const (
	// cutGrace is the time between the end of a handler's context and the close of
	// its connection.
	cutGrace = 200 * time.Millisecond

	// handlersGrace is the time for handlers to return after that.
	handlersGrace = time.Second

	// orderGrace is how long a worker that got SIGTERM waits for the master's
	// Drain: the master first starts a replacement.
	orderGrace = 10 * time.Second

	// maxEmptying limits emptying without a master: new connections keep coming,
	// so the queue may never be empty.
	maxEmptying = time.Second
)

// drainOrder asks for a final drain.
type drainOrder struct {
	timeout       time.Duration
	grace         time.Duration
	own           []string
	emptyingLimit time.Duration // 0 is timeout
	setsDeadline  bool          // replaces the deadline of a drain that has begun
	ownDecision   bool          // not ordered by the master, which must be told
}

// drain has the deadlines of a final drain, in ipc.Now's time.
type drain struct {
	startAt    int64 // without an order of the master; 0 is never
	deadline   int64
	graceUntil int64 // the queue does not count as empty before
	giveUpAt   int64 // end of emptying; 0 is never
	cutAt      int64
	endAt      int64
}

// postpone moves the deadlines that are set.
func (d *drain) postpone(by int64) {
	for _, t := range [...]*int64{&d.startAt, &d.deadline, &d.graceUntil, &d.giveUpAt, &d.cutAt, &d.endAt} {
		if *t > 0 {
			*t += by
		}
	}
}

// draining says whether the final drain has begun.
func (l *loop) draining() bool { return l.phase >= phaseEmptying }

func (l *loop) applyDrain(now int64, d *ipc.Drain) {
	if !d.Hold {
		l.beginDrain(now, drainOrder{
			timeout: milliseconds(d.TimeoutMS), grace: milliseconds(d.GraceMS), own: d.Own, setsDeadline: true,
		})
		return
	}
	if l.draining() {
		return
	}
	l.phase = phaseHeld
	l.setOwn(d.Own)
	l.log.Debug("held")
}

// milliseconds converts a number of a message, which may be invalid.
func milliseconds(ms int64) time.Duration {
	const most = int64(365 * 24 * time.Hour / time.Millisecond)
	return time.Duration(min(max(ms, 0), most)) * time.Millisecond
}

func (l *loop) setOwn(names []string) {
	for _, ln := range l.listeners {
		ln.own = slices.Contains(names, ln.info.name)
	}
}

// terminate handles SIGTERM: the worker tells the master, and serves until the
// master orders the drain. If all processes got the signal, the master begins a
// drain in which the queue is emptied; if only this worker did, a replacement is
// started first.
func (l *loop) terminate(now int64) {
	switch {
	case l.draining() || l.drain.startAt > 0:
	case l.handlesOneRequest(): // what is queued stays the caller's
		l.log.Info("got SIGTERM, draining", zap.Duration("duration", l.cfg.DrainTimeout))
		l.beginDrain(now, drainOrder{timeout: l.cfg.DrainTimeout})
	case l.channel == nil:
		l.lameDuck()
		l.beginDrain(now, l.drainWithoutMaster())
	default:
		l.log.Info("got SIGTERM, waiting for the master")
		l.send(&ipc.Report{State: ipc.StateLeaving})
		l.drain.startAt = now + int64(min(l.cfg.DrainTimeout, orderGrace))
	}
}

// drainWithoutOrder begins the drain if the master does not answer a SIGTERM.
func (l *loop) drainWithoutOrder(now int64) {
	if l.drain.startAt == 0 || now < l.drain.startAt || l.draining() {
		return
	}
	l.drain.startAt = 0
	l.log.Warn("no order from the master, draining", zap.Duration("duration", l.cfg.DrainTimeout))
	d := l.drainWithoutMaster()
	d.ownDecision = true
	l.beginDrain(now, d)
}

// drainWithoutMaster returns a drain that empties all listeners: without a master no
// other worker may be left to do it.
func (l *loop) drainWithoutMaster() drainOrder {
	d := drainOrder{timeout: l.cfg.DrainTimeout, emptyingLimit: maxEmptying}
	for _, ln := range l.listeners {
		if l.acceptsFrom(ln) {
			d.own = append(d.own, ln.info.name)
		}
	}
	return d
}

// beginDrain starts the final drain. If one has begun it only gets a new deadline:
// that of the master, or the earlier one.
func (l *loop) beginDrain(now int64, d drainOrder) {
	deadline := now + int64(d.timeout)
	if l.draining() {
		if d.setsDeadline || deadline < l.drain.deadline {
			l.drain.deadline = deadline
		}
		return
	}
	if d.ownDecision && l.channel != nil {
		l.send(&ipc.Report{State: ipc.StateDraining})
	}
	l.drain.deadline = deadline
	l.drain.graceUntil = now + int64(d.grace)
	if d.emptyingLimit > 0 {
		l.drain.giveUpAt = now + int64(d.emptyingLimit)
	}
	l.phase = phaseEmptying
	l.table.beginDrain(now)
	l.nextTick = now
	if d.grace > 0 { // the master has closed its listeners to new handshakes
		l.table.liftHopLimits()
	}
	l.setOwn(d.own)
	for _, ln := range l.listeners {
		if !ln.own {
			l.closeListener(ln)
		}
	}
	l.log.Info("draining", zap.Int("active", l.table.active()), zap.Duration("duration", d.timeout))
}

// advance does the next step of a drain.
func (l *loop) advance(now int64) {
	l.drainWithoutOrder(now)
	if l.draining() || l.lastTaken {
		l.table.loopWaits.Store(true) // before connections are counted
	}
	switch l.phase {
	case phaseEmptying:
		switch {
		case l.emptyQueues(now):
			l.finishAccepting()
		case now >= l.drain.deadline, l.drain.giveUpAt > 0 && now >= l.drain.giveUpAt:
			l.log.Warn("listeners not empty in time")
			l.finishAccepting()
		}
	case phaseDraining:
		if now >= l.drain.deadline {
			l.phase = phaseCutting
			l.drain.cutAt = now + int64(cutGrace)
			l.cancel(ErrDrainDeadline)
		}
	case phaseCutting:
		l.advanceCut(now)
	default:
		l.advanceOnce(now)
		return
	}
	if l.phase > phaseEmptying && l.idle() {
		l.phase = phaseDone
	}
}

// advanceOnce ends a worker that has served its one connection.
func (l *loop) advanceOnce(now int64) {
	switch {
	case !l.lastTaken:
	case l.idle():
		l.phase = phaseDone
	case l.serviceRuns && l.table.active() == 0:
		l.beginDrain(now, drainOrder{timeout: l.cfg.DrainTimeout})
	}
}

// advanceCut closes the connections that are left, and waits for their handlers.
func (l *loop) advanceCut(now int64) {
	switch {
	case l.drain.cutAt > 0 && now >= l.drain.cutAt:
		l.drain.cutAt = 0
		l.drain.endAt = now + int64(handlersGrace)
		if l.cut = l.table.cutAll(); l.cut > 0 {
			l.log.Warn("connections cut at the drain deadline", zap.Int("active", l.cut))
		}
	case l.drain.cutAt == 0 && now >= l.drain.endAt:
		l.phase = phaseDone
	}
}

// idle says that no connection is left.
func (l *loop) idle() bool {
	return l.table.active() == 0 && l.table.lingering.Load() == 0 && !l.serviceRuns
}

// emptyQueues accepts from the own listeners. It is done when, after the grace,
// nothing waits.
func (l *loop) emptyQueues(now int64) bool {
	done := true
	for _, ln := range l.listeners {
		if !l.acceptsFrom(ln) {
			continue
		}
		if now >= l.drain.graceUntil && l.mayAccept() && now >= l.exhaustion.retry {
			v := l.acceptOne(ln, now)
			ln.queueEmpty = v == acceptEmpty || v == acceptBroken
		}
		done = done && (ln.queueEmpty || ln.closed)
	}
	return done
}

// finishAccepting closes the listeners and drains the Service.
func (l *loop) finishAccepting() {
	l.phase = phaseDraining
	for _, ln := range l.listeners {
		l.closeListener(ln)
	}
	if l.service == nil {
		return
	}
	l.service.end()
	left := time.Duration(max(l.drain.deadline-ipc.Now(), 0))
	ctx, cancel := context.WithTimeout(l.ctx, left)
	go func() {
		defer cancel()
		l.drainService(ctx)
	}()
}

// stopNow closes all connections and ends the loop.
func (l *loop) stopNow() {
	l.cancel(ErrStopped)
	if l.cut = l.table.cutAll(); l.cut > 0 {
		l.send(&ipc.Drained{Cut: l.cut})
	}
	l.stopped = true
	l.phase = phaseDone
}
