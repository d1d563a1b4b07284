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
			w.gen.takingQueued = false // the queue is empty
		}
		m.enter(w, WorkerExiting)
		w.deadline(m.now+w.gen.config.KillDelay, dueKill)
	case w.served:
		m.markDying(w, causeServed, "")
	default:
		m.markDying(w, causeLeft, "exited by itself")
	}
}

// onLeaving replaces a worker that drains because it cannot continue. It needs
// no order to drain.
func (m *Machine) onLeaving(w *worker) {
	if !w.spawned || !w.alive() {
		return
	}
	m.note(Info, "worker leaves", w, Field{"event", string(causeLeaving)})
	c := &w.gen.config
	patience := c.KillDelay
	if w.state == WorkerStarting {
		m.enter(w, WorkerExiting) // it has no connections
	} else {
		m.enter(w, WorkerDraining)
		patience += c.DrainTimeout
	}
	w.held, w.leaving, w.cause = false, true, causeLeaving
	w.deadline(m.now+patience, dueKill)
	m.delayAfterLeaving(w)
}

// exitTime is how long a worker may take to exit after it closed its channel.
const exitTime = 2 * time.Second

// onClosed sets a deadline for the exit of a worker that has closed its
// channel. A worker that leaves has one already.
func (m *Machine) onClosed(w *worker) {
	by := m.now + exitTime
	if w.spawned && w.alive() && (w.dueFor == noDue || w.due > by) {
		w.deadline(by, dueExit)
	}
}

// onUnfit stops a worker that the master cannot work with. One that leaves has
// a deadline, and may still finish its connections.
func (m *Machine) onUnfit(w *worker, why string) {
	if !w.spawned || !w.alive() {
		return
	}
	m.note(Warn, "worker unfit", w, Field{"error", why})
	m.markDying(w, causeUnfit, "is unfit: "+why)
	m.sendStop(w)
	m.failGenerationOf(w)
}

// failGenerationOf fails the reload or the probation of a worker that will not
// recover.
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

// reason returns for the operator what happened to w.
func (w *worker) reason() string {
	return fmt.Sprintf("worker in slot %d %s", w.slot, w.failure)
}

// onTerminated replaces a worker that got SIGTERM.
func (m *Machine) onTerminated(w *worker) {
	if !w.spawned || !w.alive() || w.terminated {
		return
	}
	awaited := w.state == WorkerStarting && m.state == Draining && !m.lameDuck
	if awaited {
		return // no other worker can take what is queued; it drains when it is ready
	}
	w.terminated = true
	c := &w.gen.config
	switch {
	case w.state == WorkerStarting:
		m.note(Info, "worker leaves", w, Field{"event", string(causeLeaving)})
		m.stop(w, causeLeaving) // it has no connections
	case w.served:
		m.drain(w, causeLeaving, false, c.DrainTimeout)
	case !w.retiring:
		m.retireWorker(w, string(causeLeaving))
	}
	m.delayAfterLeaving(w)
}
