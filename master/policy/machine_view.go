package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// WorkerView is one living worker as status shows it. Times are on the
// machine's clock.
type WorkerView struct {
	ID         ID
	Slot       int
	PID        int // 0 before Spawned
	Generation int
	State      WorkerState
	Held       bool // Draining, but only until the probation ends
	Started    time.Duration
	Since      time.Duration // in State
}

// State returns what the server is doing.
func (m *Machine) State() State { return m.state }

// Generation returns the number of the generation that serves: 1 from Boot
// on.
func (m *Machine) Generation() int {
	if m.serving == nil {
		return 0
	}
	return m.serving.number
}

// NextGeneration returns the number that the next Loaded without Err gets: one
// more than any before.
func (m *Machine) NextGeneration() int { return m.lastGeneration + 1 }

// Ending says whether the server is on its way out.
func (m *Machine) Ending() bool { return m.state >= Draining }

// Target says how many workers there should be: "4", "2-8" for a dynamic pool,
// "2 spare" for one-shot workers. While a generation is being started it is that
// one's target.
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

// Workers returns the living workers, by slot.
func (m *Machine) Workers() []WorkerView {
	var views []WorkerView
	for _, g := range m.generations {
		for _, w := range g.members {
			v := WorkerView{
				ID: w.id, Slot: w.slot, PID: w.pid, Generation: g.number,
				State: w.state, Held: w.held, Started: w.started, Since: w.since,
			}
			if w.held {
				v.State = WorkerDraining
			}
			views = append(views, v)
		}
	}
	slices.SortFunc(views, func(a, b WorkerView) int { return a.Slot - b.Slot })
	return views
}

// Closes says whether a generation's listener closes when the generation drains:
// all do when the server ends, and else those that the committed one does not
// share. An external one stays open in the service manager, and what is queued
// there waits for the next server.
func (m *Machine) Closes(generation int, external, shared bool) bool {
	return !external && (m.Ending() || generation != m.Generation() && !shared)
}

// Shown is the state as status shows it: by what the worker has in hand now, for
// the machine knows that from a sample. A one-shot worker is busy for good.
func (s WorkerState) Shown(active int, oneShot bool) WorkerState {
	switch {
	case s == WorkerReady && active > 0:
		return WorkerBusy
	case s == WorkerBusy && active == 0 && !oneShot:
		return WorkerReady
	}
	return s
}

// Degraded says why the service is degraded; it is empty while it is not.
func (m *Machine) Degraded() string { return m.brake.String() }

// Restarts returns how many workers have exited unexpectedly so far.
func (m *Machine) Restarts() uint64 { return m.restarts }

// status is the line that the service manager shows.
func (m *Machine) status() string {
	line := fmt.Sprintf("%s, generation %d", m.serving.pool(), m.serving.number)
	if m.brake.degraded {
		line += ", degraded"
	}
	return line
}

// pool describes the size that g should have.
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
