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
//	                  emptying   listeners that only we serve: accept until the
//	                      │      grace has passed and accept says that none waits
//	                      ▼
//	                  draining   connections finish; the silent ones read EOF
//	                      │
//	                      ├── none left ─────────────────────────► done
//	                      ▼ deadline
//	                  cutting    contexts end; after cutGrace the connections
//	                      │      are closed; after handlersGrace who cares
//	                      └──────────────────────────────────────► done
const (
	// cutGrace is what a handler has between the end of its context and the
	// end of its connection.
	cutGrace = 200 * time.Millisecond

	// handlersGrace is what handlers have to return after their connection was
	// closed. The process ends then in any case.
	handlersGrace = time.Second

	// orderGrace is how long a worker that got SIGTERM waits for the master's
	// Drain. The master first starts a replacement.
	orderGrace = 10 * time.Second

	// maxEmptying bounds emptying without a master: nobody has quiesced the
	// listeners, so under load they might never be empty.
	maxEmptying = time.Second
)

// drainOrder asks for a final drain.
type drainOrder struct {
	timeout       time.Duration
	grace         time.Duration
	own           []string
	emptyingLimit time.Duration // of emptying; 0 is none but timeout
	setsDeadline  bool          // replaces the deadline of a drain that is under way
	ownDecision   bool          // by the master, who is to hear of it
}

// drain is the loop's knowledge of a final drain. Times are ipc.Now's.
type drain struct {
	startAt    int64 // begins then, if the master has not ordered it; 0 is never
	deadline   int64
	graceUntil int64 // not empty before
	giveUpAt   int64 // up emptying; 0 is never
	cutAt      int64
	endAt      int64
}

// postpone moves what is still to come.
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
	l.log.Debug("accepting no more, for now")
}

// milliseconds converts what a message says, which may be anything.
func milliseconds(ms int64) time.Duration {
	const most = int64(365 * 24 * time.Hour / time.Millisecond)
	return time.Duration(min(max(ms, 0), most)) * time.Millisecond
}

func (l *loop) setOwn(names []string) {
	for _, ln := range l.listeners {
		ln.own = slices.Contains(names, ln.info.name)
	}
}

// terminate acts on SIGTERM. The worker serves on until the master orders the
// drain. If the signal went to all processes of the server, the master's own end
// is next, and its workers must empty the queue first; if it went to this worker
// alone, another takes its place first.
func (l *loop) terminate(now int64) {
	switch {
	case l.draining() || l.drain.startAt > 0:
	case l.handlesOneRequest(): // the queue stays its caller's
		l.log.Info("asked to end, draining", zap.Duration("duration", l.cfg.DrainTimeout))
		l.beginDrain(now, drainOrder{timeout: l.cfg.DrainTimeout})
	case l.channel == nil:
		l.lameDuck()
		l.beginDrain(now, l.drainWithoutMaster())
	default:
		l.log.Info("asked to end, waiting for the master")
		l.send(&ipc.Report{State: ipc.StateLeaving})
		l.drain.startAt = now + int64(min(l.cfg.DrainTimeout, orderGrace))
	}
}

// drainWithoutOrder drains a worker whose master has not answered its SIGTERM.
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

// drainWithoutMaster is the drain without a master: nobody is known who could take what
// waits at the listeners that this worker took from.
func (l *loop) drainWithoutMaster() drainOrder {
	d := drainOrder{timeout: l.cfg.DrainTimeout, emptyingLimit: maxEmptying}
	for _, ln := range l.listeners {
		if l.acceptsFrom(ln) {
			d.own = append(d.own, ln.info.name)
		}
	}
	return d
}

// beginDrain starts the final drain. One that is under way only gets a new
// deadline: the master's word, or the earlier one.
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

// advance moves a drain on.
func (l *loop) advance(now int64) {
	l.drainWithoutOrder(now)
	if l.draining() || l.lastTaken {
		l.table.loopWaits.Store(true) // before anything is counted
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
		// The Service should have returned by itself.
		l.beginDrain(now, drainOrder{timeout: l.cfg.DrainTimeout})
	}
}

// advanceCut closes what is left, and then waits for the handlers no longer
// than it must.
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

// idle says that nothing is in hand.
func (l *loop) idle() bool {
	return l.table.active() == 0 && l.table.lingering.Load() == 0 && !l.serviceRuns
}

// emptyQueues takes what waits at our own listeners, and says whether after the
// grace there was nothing more.
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

// finishAccepting closes the listeners and lets the Service go.
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

// stopNow ends the loop whatever is in hand.
func (l *loop) stopNow() {
	l.cancel(ErrStopped)
	if l.cut = l.table.cutAll(); l.cut > 0 {
		l.send(&ipc.Drained{Cut: l.cut})
	}
	l.stopped = true
	l.phase = phaseDone
}
