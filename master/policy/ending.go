package policy

import (
	"fmt"
	"time"
)

// leftoverGrace is how long a worker whose master died may take after its drain
// timeout: it closes its connections then, and waits a second for its handlers.
const leftoverGrace = 5 * time.Second

// LeftoverTime is how long after its start a master waits for workers of an
// earlier one. They finish their connections and exit; one that has not by then
// hangs.
func (c Config) LeftoverTime() time.Duration { return c.DrainTimeout + leftoverGrace }

// onDrain begins a drain. During a drain a second signal ends it.
func (m *Machine) onDrain(r Request) {
	add(&m.ends, r)
	if r != 0 && m.Ending() {
		return // only a second signal cuts a drain short
	}
	switch m.state {
	case Killing:
		return
	case Draining:
		m.note(Warn, "drain cut short", nil)
		m.killAll()
		return
	case Booting:
		if m.serving.listens == listensNot {
			m.onStop() // there are no clients
			return
		}
	}
	m.note(Info, "draining", nil, Field{"state", m.state.String()}, Field{"duration", m.serving.config.DrainTimeout})
	m.do(Notify{State: NotifyStopping, Status: "draining"})
	lameDuck := m.serving.config.LameDuck
	m.cancelReload(Draining)
	m.lameDuckAll()
	if lameDuck > 0 {
		m.lameDuck, m.lameUntil = true, m.now+lameDuck
		return
	}
	m.beginDrain()
}

// lameDuckAll tells all workers with connections that the server ends.
func (m *Machine) lameDuckAll() {
	for _, g := range m.generations {
		for _, w := range g.members {
			if w.mayHaveConnections() {
				m.do(LameDuck{ID: w.id})
			}
		}
	}
}

// onStop stops everything at once.
func (m *Machine) onStop() {
	if m.state == Killing {
		return
	}
	if m.state != Draining {
		m.do(Notify{State: NotifyStopping, Status: "stopping"})
	}
	m.note(Info, "stopping", nil, Field{"state", m.state.String()})
	m.killAll()
}

// abort ends a start that cannot succeed.
func (m *Machine) abort(code int, why string) {
	m.note(Error, "boot failed", nil, Field{"error", why})
	m.do(Notify{State: NotifyStopping, Status: "boot failed: " + why})
	m.exit = Exit{Code: code, Err: why}
	m.killAll()
}

// cancelReload ends the reload and those that wait, on the way to another
// state.
func (m *Machine) cancelReload(to State) {
	running := m.state == Reloading || m.state == Probation
	m.state = to
	if g := m.coming; g != nil {
		m.coming = nil
		m.stopGeneration(g, causeRolledBack)
	}
	m.rescale = nil
	if running {
		m.refuseReloads()
	}
	if m.reloadQueued {
		m.reloadQueued = false
		m.refuseReloads()
	}
}

// beginDrain drains all workers, also those that are held.
func (m *Machine) beginDrain() {
	c := &m.serving.config
	m.lameDuck = false
	m.drainBy = m.now + c.DrainTimeout
	m.killAt = m.drainBy + c.KillDelay
	if old := m.held; old != nil {
		m.held = nil
		old.takingQueued = old.mustTakeQueued()
		m.drainGeneration(old, causeReplaced, m.drainBy)
	}
	m.serving.takingQueued = true
	m.drainGeneration(m.serving, causeDrain, m.drainBy)
	for _, g := range m.generations {
		g.drainBy = min(g.drainBy, m.drainBy)
	}
}

// overrun ends a drain that took too long.
func (m *Machine) overrun() {
	m.state = Killing
	for _, g := range m.generations {
		g.takingQueued = false
		for _, w := range g.members {
			switch {
			case !w.spawned:
				m.stop(w, causeDrain)
			case !w.killed:
				if w.state != WorkerExiting {
					m.enter(w, WorkerExiting)
					w.leaving, w.cause = true, causeDrain
				}
				m.overran++
				m.kill(w)
			}
		}
	}
	if m.overran > 0 {
		m.note(Warn, "drain overran", nil, Field{"error", m.overrunText()})
	}
}

func (m *Machine) overrunText() string {
	if m.overran == 1 {
		return "1 worker had to be killed"
	}
	return fmt.Sprintf("%d workers had to be killed", m.overran)
}

// killAll stops all workers.
func (m *Machine) killAll() {
	m.cancelReload(Killing)
	m.lameDuck = false
	m.held = nil
	for _, g := range m.generations {
		m.stopGeneration(g, causeStop)
	}
}

// finish ends the machine when no worker is left.
func (m *Machine) finish() {
	if m.state != Killing && m.state != Draining || m.lameDuck {
		return
	}
	for _, g := range m.generations {
		if len(g.members) > 0 || g.takingQueued {
			return
		}
	}
	if m.state == Draining && m.leftoversBy > 0 {
		m.exit.Leftovers = m.leftoversBy - m.now
	}
	m.state = Stopped
	if m.overran > 0 {
		m.exit = Exit{Code: 1, Err: m.overrunText()}
	}
	m.note(Info, "stopped", nil, Field{"exit_code", m.exit.Code}, Field{"duration", m.now})
	m.answer(&m.ends, m.exit.Err)
	m.do(m.exit)
}
