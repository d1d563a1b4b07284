package policy

import (
	"fmt"
	"time"
)

func (m *Machine) onDrained(w *worker) {
	switch {
	case !w.spawned || w.state == WorkerExiting:
		return
	case w.state == WorkerDraining:
		if w.takesQueued && !w.served {
			w.gen.takingQueued = false // it found the queue empty
		}
		m.enter(w, WorkerExiting)
		w.deadline(m.now+w.gen.config.KillDelay, dueKill)
	case w.served:
		m.markDying(w, causeServed, "")
	default:
		m.markDying(w, causeLeft, "left unasked")
	}
}

// onLeaving gives away the place of a worker that drains because it cannot go
// on. It is a recycling whose replacement comes late. One that drains already does so by the machine's word.
func (m *Machine) onLeaving(w *worker) {
	if !w.spawned || !w.alive() {
		return
	}
	m.note(Info, "worker leaves", w, Field{"event", string(causeLeaving)})
	c := &w.gen.config
	patience := c.KillDelay
	if w.state == WorkerStarting {
		m.enter(w, WorkerExiting) // it has nothing to finish
	} else {
		m.enter(w, WorkerDraining)
		patience += c.DrainTimeout
	}
	w.held, w.leaving, w.cause = false, true, causeLeaving
	w.deadline(m.now+patience, dueKill)
	m.delayAfterLeaving(w)
}

// exitTime is how long a worker may take to exit once it has closed its channel:
// nothing is in its way but the kernel.
const exitTime = 2 * time.Second

// onClosed gives a worker that the master cannot talk to any more its time to
// exit. One that leaves already has a deadline.
func (m *Machine) onClosed(w *worker) {
	by := m.now + exitTime
	if w.spawned && w.alive() && (w.dueFor == noDue || w.due > by) {
		w.deadline(by, dueExit)
	}
}

// onUnfit ends a worker that the master cannot talk to. One that leaves
// already has a deadline, and may still finish what it holds.
func (m *Machine) onUnfit(w *worker, ev Unfit) {
	if !w.spawned || !w.alive() {
		return
	}
	m.note(Warn, "worker unfit", w, Field{"error", ev.Err})
	m.markDying(w, causeUnfit, "is unfit: "+ev.Err)
	m.sendStop(w)
	m.failGenerationOf(w)
}

// suspect acts on a worker that will not recover, before it is gone: it
// speaks against its generation if that is yet to be proven.
func (m *Machine) failGenerationOf(w *worker) {
	if w.leaving || w.served {
		return
	}
	switch w.gen {
	case m.coming:
		m.failReload(w.reason())
	case m.serving:
		if m.state == Probation {
			m.rollBack(w.reason())
		}
	}
}

// reason says for an operator what became of w.
func (w *worker) reason() string {
	return fmt.Sprintf("worker in slot %d %s", w.slot, w.detail)
}

// onTerminated replaces a worker that was told to leave.
func (m *Machine) onTerminated(w *worker) {
	if !w.spawned || !w.alive() || w.terminated {
		return
	}
	awaited := w.state == WorkerStarting && m.state == Draining && !m.lameDuck
	if awaited {
		return // nobody else can empty the queue; it is drained when it is ready
	}
	w.terminated = true
	c := &w.gen.config
	switch {
	case w.state == WorkerStarting:
		m.note(Info, "worker leaves", w, Field{"event", string(causeLeaving)})
		m.stop(w, causeLeaving) // it has nothing to finish
	case w.served:
		m.drain(w, causeLeaving, false, c.DrainTimeout)
	case !w.retiring:
		m.retireWorker(w, string(causeLeaving))
	}
	m.delayAfterLeaving(w)
}
