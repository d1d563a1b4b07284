package policy

import "time"

// worker is what the machine knows of one worker. The Machine that made it
// owns it.
type worker struct {
	id    ID
	slot  int
	pid   int
	gen   *generation
	state WorkerState
	since time.Duration // in state

	started time.Duration // Spawn
	readyAt time.Duration // Ready, if everReady

	spawned     bool // the process runs
	everReady   bool
	held        bool // stopped accepting, may be told to go on
	served      bool // one-shot: has had its connection
	retiring    bool // accepts until its replacement does
	terminated  bool // to leave, by SIGTERM
	leaving     bool // was told to go, so its exit is no surprise
	stopped     bool // was sent StopWorker or Kill
	killed      bool // was sent Kill
	takesQueued bool // drains, and takes what is queued first

	requests []Request // for it to be recycled

	cause  cause  // why it goes
	detail string // what an operator should read of a failure

	due    time.Duration // a deadline, if dueFor is not noDue
	dueFor dueKind

	silent      time.Duration // without a heartbeat, while the master ran
	silentSince time.Duration // when silent was measured
	suspended   bool          // somebody stopped the process
	suspendedAt time.Duration // when it was last seen so
	hung        bool          // was silent for too long, and was made to dump
	hungAt      time.Duration

	active     int // from the last Sampled, as the next three
	connected  uint64
	rss        uint64
	full       bool
	recycleAge time.Duration // jittered; 0 is never
	recycleAt  uint64        // connections, jittered; 0 is never
}

// dueKind is what happens at a worker's deadline.
type dueKind uint8

const (
	noDue    dueKind = iota
	dueStart         // it should have been ready
	dueKill          // it should have gone
	dueExit          // it has closed its channel and should have gone
)

// cause is why a worker goes. It is the field event of the note about its
// exit.
type cause string

// The causes that the machine intends, and those that it does not.
const (
	causeScaled     cause = "scaled down"
	causeIdle       cause = "spare"
	causeRecycled   cause = "recycled"
	causeReplaced   cause = "replaced"    // by a newer generation
	causeRolledBack cause = "rolled back" // with a generation that failed
	causeTooOld     cause = "too many old generations"
	causeDrain      cause = "drained"
	causeStop       cause = "stopped"
	causeServed     cause = "served"        // one-shot
	causeLeaving    cause = "told to leave" // not by the machine

	causeFailed  cause = "failed"    // it said so before Ready
	causeSlow    cause = "not ready" // in time
	causeHung    cause = "hung"
	causeUnfit   cause = "unfit"
	causeLeft    cause = "left unasked"
	causeCrashed cause = "crashed"
	causeStray   cause = "signal at the start"
	causeLost    cause = "connection lost" // one-shot, with its connection
)

// intended says whether the machine wanted the worker to go for this cause.
func (c cause) intended() bool {
	switch c {
	case causeScaled, causeIdle, causeRecycled, causeReplaced, causeRolledBack, causeTooOld, causeDrain, causeStop, causeServed, causeLeaving:
		return true
	}
	return false
}

// alive says whether the worker is of use to the pool, now or soon.
func (w *worker) alive() bool {
	return w.state == WorkerStarting || w.serves()
}

// serves says whether the worker takes or could take connections.
func (w *worker) serves() bool {
	return w.state == WorkerReady || w.state == WorkerBusy
}

// holds says whether the worker may have connections in hand.
func (w *worker) mayHaveConnections() bool { return w.serves() || w.state == WorkerDraining }

// idle says whether the worker had nothing to do at the last sample.
func (w *worker) idle() bool { return w.serves() && w.active == 0 && !w.served }

// fills says whether the worker has a place in its pool. One that is dying of
// itself keeps it until it is gone, when the brake decides about the
// replacement.
func (w *worker) hasPlace() bool {
	switch {
	case w.retiring || w.served:
		return false
	case w.state == WorkerDraining:
		return w.gen.takingQueued && w.takesQueued
	case w.state == WorkerExiting:
		return !w.leaving && !w.cause.intended()
	}
	return true
}

// enter changes the state of w and drops its deadline, which belonged to the
// former one.
func (m *Machine) enter(w *worker, s WorkerState) {
	w.state, w.since = s, m.now
	if w.dueFor != dueExit || !w.serves() {
		w.dueFor = noDue
	}
}

func (w *worker) deadline(at time.Duration, kind dueKind) { w.due, w.dueFor = at, kind }

// accept lets w take connections, for the first time or again.
func (m *Machine) accept(w *worker) {
	w.held = false
	m.do(Accept{ID: w.id})
}

// hold makes w stop accepting until accept or drain.
func (m *Machine) hold(w *worker) {
	w.held = true
	m.do(DrainWorker{ID: w.id, Hold: true})
}

// drain asks w to finish what it has and go. One that is not ready has
// nothing to finish and is stopped.
func (m *Machine) drain(w *worker, why cause, empty bool, timeout time.Duration) {
	switch {
	case w.state == WorkerStarting || timeout <= 0:
		m.stop(w, why)
	case w.serves():
		m.enter(w, WorkerDraining)
		w.held, w.retiring, w.leaving, w.cause, w.takesQueued = false, false, true, why, empty
		w.deadline(m.now+timeout+w.gen.config.KillDelay, dueKill)
		m.do(DrainWorker{ID: w.id, TakeQueued: empty, Timeout: timeout})
	}
}

// stop tells w to exit at once. If its exit is due already, that is enough.
func (m *Machine) stop(w *worker, why cause) {
	if w.state == WorkerExiting {
		return
	}
	m.enter(w, WorkerExiting)
	w.held, w.leaving, w.cause = false, true, why
	if w.spawned {
		m.sendStop(w)
	}
}

// sendStop is the part of stop that needs a process.
func (m *Machine) sendStop(w *worker) {
	w.stopped = true
	w.deadline(m.now+w.gen.config.KillDelay, dueKill)
	m.do(StopWorker{ID: w.id})
}

// condemn marks w as dying of a cause that the machine did not intend.
func (m *Machine) markDying(w *worker, why cause, detail string) {
	m.enter(w, WorkerExiting)
	w.held, w.cause, w.detail = false, why, detail
	w.deadline(m.now+w.gen.config.KillDelay, dueKill)
}

// dumpAndKill ends a worker that does not move, after it had a chance to say
// where it stands.
func (m *Machine) dumpAndKill(w *worker, why cause, detail string) {
	m.markDying(w, why, detail)
	w.deadline(m.now+w.gen.config.DumpDelay, dueKill)
	m.dump(w)
}

// dump makes w write down where it stands.
func (m *Machine) dump(w *worker) { m.do(Dump{ID: w.id}) }

// kill ends w.
func (m *Machine) kill(w *worker) {
	w.dueFor = noDue
	w.stopped, w.killed = true, true
	m.do(Kill{ID: w.id})
}

// expire acts on the deadlines of workers that have passed, and says whether
// there were any.
func (m *Machine) expire() bool {
	for _, g := range m.generations {
		for _, w := range g.members {
			if w.dueFor == noDue || w.due > m.now {
				continue
			}
			m.overdue(w)
			return true // generations may have changed
		}
	}
	return false
}

func (m *Machine) overdue(w *worker) {
	switch w.dueFor {
	case dueExit:
		m.onUnfit(w, Unfit{ID: w.id, Err: "closed its channel but does not exit"})
		return
	case dueKill:
		m.note(Warn, "worker killed", w, Field{"event", string(w.cause)}, Field{"state", w.state.String()})
		if m.state == Draining && w.state == WorkerDraining {
			m.overran++
		}
		if w.state != WorkerExiting {
			m.enter(w, WorkerExiting)
		}
		m.kill(w)
		return
	}
	limit := w.gen.config.StartTimeout
	m.note(Warn, "worker not ready", w, Field{"duration", limit})
	m.dumpAndKill(w, causeSlow, "was not ready within "+limit.String())
	m.failGenerationOf(w)
}
