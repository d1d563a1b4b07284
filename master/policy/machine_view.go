package policy

import (
	"cmp"
	"fmt"
	"strconv"
)

// State returns what the server is doing.
func (m *Machine) State() State { return m.state }

// Generation returns the number of the generation that serves, from Boot on.
func (m *Machine) Generation() int {
	if m.serving == nil {
		return 0
	}
	return m.serving.number
}

// NextGeneration returns the number of the next Loaded without an error.
func (m *Machine) NextGeneration() int { return m.lastGeneration + 1 }

// Ending reports whether the server drains or stops.
func (m *Machine) Ending() bool { return m.state >= Draining }

// Target returns how many workers there should be: "4", "2-8" for a dynamic pool,
// "2 spare" for one-shot workers. During a reload these are the new
// generation's.
func (m *Machine) Target() string {
	g := cmp.Or(m.coming, m.serving)
	switch {
	case g == nil:
		return ""
	case g.config.OneShot:
		return fmt.Sprintf("%d spare", g.spare)
	case g.min < g.max:
		return fmt.Sprintf("%d-%d", g.min, g.max)
	}
	return strconv.Itoa(g.min)
}

// WorkerState returns the state of a worker. One that is held is draining.
func (m *Machine) WorkerState(id ID) WorkerState {
	switch w := m.workers[id]; {
	case w == nil:
		return WorkerGone
	case w.held:
		return WorkerDraining
	default:
		return w.state
	}
}

// MaySpawn reports whether a generation may still get a worker.
func (m *Machine) MaySpawn(generation int) bool {
	for _, g := range m.generations {
		if g.number == generation {
			return g.takingQueued || m.keepsServing() && !m.leaving(g)
		}
	}
	return false
}

// Closes reports whether a listener closes when its generation drains: all of them
// when the server ends, else those that the serving generation does not share.
// An external one stays open in the service manager, and its queue waits for
// the next server.
func (m *Machine) Closes(generation int, external, shared bool) bool {
	return !external && (m.Ending() || generation != m.Generation() && !shared)
}

// Shown is the state for the status. It uses the current number of connections,
// because the machine's is from the last sample. A one-shot worker stays busy.
func (s WorkerState) Shown(active int, oneShot bool) WorkerState {
	switch {
	case s == WorkerReady && active > 0:
		return WorkerBusy
	case s == WorkerBusy && active == 0 && !oneShot:
		return WorkerReady
	}
	return s
}

// Degraded returns why the service is degraded, or nothing.
func (m *Machine) Degraded() string { return m.brake.String() }

// Restarts returns how many workers have exited unexpectedly.
func (m *Machine) Restarts() uint64 { return m.restarts }

// status is the service manager's status line.
func (m *Machine) status() string {
	line := fmt.Sprintf("%s, generation %d", m.serving.pool(), m.serving.number)
	if m.brake.degraded {
		line += ", degraded"
	}
	return line
}

// pool describes the size of g's pool.
func (g *generation) pool() string {
	switch {
	case g.config.OneShot:
		return fmt.Sprintf("%d spare, at most %d workers", g.spare, g.max)
	case g.min < g.max:
		return fmt.Sprintf("%d-%d workers", g.min, g.max)
	case g.size == 1:
		return "1 worker"
	}
	return fmt.Sprintf("%d workers", g.size)
}
