package policy

import (
	"fmt"
	"slices"
)

func (m *Machine) onSpawned(w *worker, ev Spawned) {
	if w.spawned {
		return
	}
	w.spawned, w.pid = true, ev.PID
	if w.state == WorkerExiting {
		m.sendStop(w) // it was given up before it existed
		return
	}
	m.note(Debug, "worker spawned", w)
	w.deadline(m.now+w.gen.config.StartTimeout, dueStart)
}

// onSpawnFailed treats a worker that never was as one that died at once.
func (m *Machine) onSpawnFailed(w *worker, ev SpawnFailed) {
	if w.spawned {
		return
	}
	m.remove(w)
	m.note(Warn, "worker not spawned", nil,
		Field{"slot", w.slot}, Field{"generation", w.gen.number}, Field{"error", ev.Err})
	w.detail = "could not be spawned: " + ev.Err
	if m.state == Probation && w.gen == m.serving {
		m.delay(w) // the kernel's refusal says nothing about the generation
		return
	}
	m.afterCrash(w)
}

func (m *Machine) onReady(w *worker) {
	if w.state != WorkerStarting || !w.spawned {
		return
	}
	m.enter(w, WorkerReady)
	w.readyAt, w.everReady = m.now, true
	w.silent, w.heardAt = 0, m.now // until here StartTimeout watched over it
	g := w.gen
	g.everReady++
	level := Info
	if g.config.OneShot {
		level = Debug
	}
	m.note(level, "worker ready", w, Field{"duration", m.now - w.started})
	if m.state == Draining {
		m.do(LameDuck{ID: w.id}) // before it can be asked
	}
	switch {
	case g == m.coming: // waits for commit
	case g == m.serving && m.serves():
		if m.listen(g) {
			m.accept(w)
		}
	case m.now < g.drainBy && g.listens == listensNow: // it came to help empty a queue
		m.accept(w)
		m.drain(w, causeDrain, true, g.drainBy-m.now)
	default:
		m.stop(w, causeDrain)
	}
}

// listen says whether g's sockets listen, and asks for it if nobody has: they
// do so as soon as somebody can accept, and no sooner, so that a generation
// that never serves has kept no client waiting.
func (m *Machine) listen(g *generation) bool {
	if g.listens == listensNot {
		g.listens = listensAsked
		m.do(Listen{Generation: g.number})
	}
	return g.listens == listensNow
}

// onListening lets those accept who have waited for it.
func (m *Machine) onListening(ev Listening) {
	i := slices.IndexFunc(m.generations, func(g *generation) bool { return g.number == ev.Generation })
	if i < 0 || m.generations[i].listens != listensAsked {
		m.note(Debug, "event ignored", nil, Field{"event", eventName(ev)})
		return
	}
	g := m.generations[i]
	switch {
	case ev.Err == "":
		g.listens = listensNow
		if g == m.serving && m.serves() {
			for _, w := range g.members {
				if w.serves() {
					m.accept(w)
				}
			}
		}
	case g == m.coming:
		m.failReload(ev.Err)
	case m.state == Booting:
		m.abort(1, ev.Err)
	}
}

func (m *Machine) onFailed(w *worker, ev Failed) {
	if w.state == WorkerExiting {
		return
	}
	if w.state != WorkerStarting || !w.spawned {
		m.onUnfit(w, Unfit{ID: ev.ID, Err: "said failed after ready"})
		return
	}
	m.note(Warn, "worker failed", w, Field{"exit_code", ev.Code}, Field{"error", ev.Message})
	m.condemn(w, causeFailed, "failed: "+ev.Message)
	if m.state == Booting && ev.Code == exitConfig {
		m.abort(exitConfig, ev.Message)
		return
	}
	m.suspect(w)
}

func (m *Machine) onBusy(w *worker) {
	if !w.gen.config.OneShot {
		return
	}
	w.served = true
	if w.state == WorkerReady {
		w.retiring = false // it leaves by itself
		m.enter(w, WorkerBusy)
		if w.told {
			m.drain(w, causeLeaving, false, w.gen.config.DrainTimeout)
		}
	}
}

func (m *Machine) onDrained(w *worker) {
	switch {
	case !w.spawned || w.state == WorkerExiting:
		return
	case w.state == WorkerDraining:
		if w.empties && !w.served {
			w.gen.emptying = false // it found the queue empty
		}
		m.enter(w, WorkerExiting)
		w.deadline(m.now+w.gen.config.KillDelay, dueKill)
	case w.spent():
		m.condemn(w, causeServed, "")
	default:
		m.condemn(w, causeLeft, "left unasked")
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
	early := !w.spent() && m.peopled(w.gen) && m.short(w)
	patience := c.KillDelay
	if w.state == WorkerStarting {
		m.enter(w, WorkerExiting) // it has nothing to finish
	} else {
		m.enter(w, WorkerDraining)
		patience += c.DrainTimeout
	}
	w.held, w.leaving, w.cause = false, true, causeLeaving
	w.deadline(m.now+patience, dueKill)
	if early {
		m.postpone(w, m.brake.early(m.now, c, &m.random))
	}
}

// onUnfit ends a worker that the master cannot talk to. One that leaves
// already has a deadline, and may still finish what it holds.
func (m *Machine) onUnfit(w *worker, ev Unfit) {
	if !w.spawned || !w.alive() {
		return
	}
	m.note(Warn, "worker unfit", w, Field{"error", ev.Err})
	m.condemn(w, causeUnfit, "is unfit: "+ev.Err)
	m.sendStop(w)
	m.suspect(w)
}

// suspect acts on a worker that will not recover, before it is gone: it
// speaks against its generation if that is yet to be proven.
func (m *Machine) suspect(w *worker) {
	if w.leaving || w.spent() {
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
