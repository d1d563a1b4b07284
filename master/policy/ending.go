package policy

import (
	"fmt"
	"time"
)

// leftoverGrace is what a worker whose master died may take beyond its drain
// timeout: it then cuts its connections and waits a second for its handlers.
const leftoverGrace = 5 * time.Second

// LeftoverTime is how long after the start of the master workers of an earlier
// one may take. They see that their master is gone, finish what they have and
// exit; one that has not by then hangs, and nobody else would end it.
func (c Config) LeftoverTime() time.Duration { return c.DrainTimeout + leftoverGrace }

// onDrain begins the orderly end, or, the second time, ends it.
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
			m.onStop() // nobody could connect
			return
		}
	}
	m.note(Info, "draining", nil, Field{"state", m.state.String()}, Field{"duration", m.serving.config.DrainTimeout})
	m.do(Notify{State: NotifyStopping, Status: "draining"})
	lameDuck := m.serving.config.LameDuck
	m.abandonReload(Draining)
	m.announceEnd()
	if lameDuck > 0 {
		m.lameDuck, m.lameUntil = true, m.now+lameDuck
		return
	}
	m.beginDrain()
}

// announceEnd tells everyone whom a client may still ask that the server ends.
func (m *Machine) announceEnd() {
	for _, g := range m.generations {
		for _, w := range g.members {
			if w.mayHaveConnections() {
				m.do(LameDuck{ID: w.id})
			}
		}
	}
}

// onStop ends everything at once.
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

// abort gives up a boot that cannot succeed.
func (m *Machine) abort(code int, why string) {
	m.note(Error, "boot failed", nil, Field{"error", why})
	m.do(Notify{State: NotifyStopping, Status: "boot failed: " + why})
	m.exit = Exit{Code: code, Err: why}
	m.killAll()
}

// abandonReload ends a reload that runs, and whatever waits for one, on the
// way into the given state.
func (m *Machine) abandonReload(to State) {
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

// beginDrain drains everyone, the held as well as those who serve.
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

// overrun ends a drain whose time is over.
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

// killAll stops everyone.
func (m *Machine) killAll() {
	m.abandonReload(Killing)
	m.lameDuck = false
	m.held = nil
	for _, g := range m.generations {
		m.stopGeneration(g, causeStop)
	}
}

// finish ends the machine when nobody is left.
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
