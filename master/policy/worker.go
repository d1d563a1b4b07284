package policy

import "time"

// worker is what the machine knows about a worker. The Machine owns it.
type worker struct {
	id    ID
	slot  int
	pid   int
	gen   *generation
	state WorkerState

	started time.Duration // Spawn
	readyAt time.Duration // Ready, if everReady

	spawned     bool // the process runs
	everReady   bool
	held        bool // does not accept, and may have to again
	served      bool // one-shot: has taken its connection
	retiring    bool // accepts until its replacement does
	terminated  bool // got SIGTERM
	leaving     bool // was ordered to leave, so its exit is expected
	stopped     bool // was sent StopWorker or Kill
	killed      bool // was sent Kill
	takesQueued bool // drains, and takes queued connections first

	requests []Request // for it to be recycled

	cause   cause  // why it leaves
	failure string // for the operator

	due    time.Duration // the deadline of dueFor
	dueFor dueKind

	silent      time.Duration // since its last heartbeat, while the master ran
	silentAsOf  time.Duration // when silent was updated
	suspended   bool          // by a signal or a debugger
	suspendedAt time.Duration // when it was last suspended
	hung        bool          // was silent for too long, and got a Dump
	hungAt      time.Duration

	active             int // from the last sample, as the next three
	connected          uint64
	rss                uint64
	full               bool
	recycleAge         time.Duration // with jitter; 0 is never
	recycleConnections uint64        // with jitter; 0 is never
}

// dueKind is the meaning of a worker's deadline.
type dueKind uint8

const (
	noDue    dueKind = iota
	dueStart         // when it should be ready
	dueKill          // when it should have exited
	dueExit          // when it should have exited after it closed its channel
)

// cause is why a worker leaves: the field event of "worker exited".
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
	causeLeaving    cause = "told to leave" // not an order of the machine

	causeFailed  cause = "failed"    // reported before Ready
	causeSlow    cause = "not ready" // in time
	causeHung    cause = "hung"
	causeUnfit   cause = "unfit"
	causeLeft    cause = "exited by itself"
	causeCrashed cause = "crashed"
	causeStray   cause = "signal at the start"
	causeLost    cause = "connection lost" // one-shot, with its connection
)

// intended reports whether the machine wanted the exit.
func (c cause) intended() bool {
	switch c {
	case causeScaled, causeIdle, causeRecycled, causeReplaced, causeRolledBack, causeTooOld, causeDrain, causeStop, causeServed, causeLeaving:
		return true
	}
	return false
}

// alive reports whether the worker serves or starts.
func (w *worker) alive() bool {
	return w.state == WorkerStarting || w.serves()
}

// serves reports whether the worker accepts or could.
func (w *worker) serves() bool {
	return w.state == WorkerReady || w.state == WorkerBusy
}

func (w *worker) mayHaveConnections() bool { return w.serves() || w.state == WorkerDraining }

// idle reports whether the worker had nothing to do at the last sample.
func (w *worker) idle() bool { return w.serves() && w.active == 0 && !w.served }

// hasPlace reports whether the worker has a place in its pool. One that is dying
// keeps it until its exit, when the brake decides about the replacement.
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

// enter changes the state of w, and removes the deadline of the former state.
func (m *Machine) enter(w *worker, s WorkerState) {
	w.state = s
	if w.dueFor != dueExit || !w.serves() {
		w.dueFor = noDue
	}
}

func (w *worker) deadline(at time.Duration, kind dueKind) { w.due, w.dueFor = at, kind }

// accept lets w accept connections.
func (m *Machine) accept(w *worker) {
	w.held = false
	m.do(Accept{ID: w.id})
}

// hold makes w stop accepting until accept or drain.
func (m *Machine) hold(w *worker) {
	w.held = true
	m.do(DrainWorker{ID: w.id, Hold: true})
}

// drain makes w finish its connections and exit. A worker that is not ready is
// stopped.
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

// stop makes w exit at once.
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

func (m *Machine) sendStop(w *worker) {
	w.stopped = true
	w.deadline(m.now+w.gen.config.KillDelay, dueKill)
	m.do(StopWorker{ID: w.id})
}

// markDying marks w as dying for a cause that the machine did not intend.
func (m *Machine) markDying(w *worker, why cause, detail string) {
	m.enter(w, WorkerExiting)
	w.held, w.cause, w.failure = false, why, detail
	w.deadline(m.now+w.gen.config.KillDelay, dueKill)
}

// dumpAndKill ends a worker that does not respond, after it could write its
// stacks.
func (m *Machine) dumpAndKill(w *worker, why cause, detail string) {
	m.markDying(w, why, detail)
	w.deadline(m.now+w.gen.config.DumpDelay, dueKill)
	m.dump(w)
}

func (m *Machine) dump(w *worker) { m.do(Dump{ID: w.id}) }

func (m *Machine) kill(w *worker) {
	w.dueFor = noDue
	w.stopped, w.killed = true, true
	m.do(Kill{ID: w.id})
}

// expire handles one deadline that has passed, and reports whether there was one.
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
		m.onUnfit(w, "closed its channel but does not exit")
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
