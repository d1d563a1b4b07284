package policy

import (
	"slices"
	"testing"
)

// workerView is a living worker.
type workerView struct {
	ID         ID
	Slot       int
	PID        int // 0 before Spawned
	Generation int
	State      WorkerState
	Held       bool // draining only until the probation ends
}

// Workers returns the living workers, by slot.
func (m *Machine) Workers() []workerView {
	var views []workerView
	for _, g := range m.generations {
		for _, w := range g.members {
			views = append(views, workerView{
				ID: w.id, Slot: w.slot, PID: w.pid, Generation: g.number,
				State: m.WorkerState(w.id), Held: w.held,
			})
		}
	}
	slices.SortFunc(views, func(a, b workerView) int { return a.Slot - b.Slot })
	return views
}

func TestTheShownStateDependsOnOpenConnections(t *testing.T) {
	for _, test := range []struct {
		state   WorkerState
		active  int
		oneShot bool
		want    WorkerState
	}{
		{WorkerStarting, 0, false, WorkerStarting},
		{WorkerReady, 0, false, WorkerReady},
		{WorkerReady, 2, false, WorkerBusy},
		{WorkerBusy, 1, false, WorkerBusy},
		{WorkerBusy, 0, false, WorkerReady},
		{WorkerBusy, 0, true, WorkerBusy},
		{WorkerDraining, 0, false, WorkerDraining},
		{WorkerDraining, 3, false, WorkerDraining},
		{WorkerExiting, 1, false, WorkerExiting},
	} {
		if got := test.state.Shown(test.active, test.oneShot); got != test.want {
			t.Errorf("%s with %d connections, one-shot %v: shown as %s, want %s", test.state, test.active, test.oneShot, got, test.want)
		}
	}
}

func TestAListenerClosesWithTheLastGenerationThatHasIt(t *testing.T) {
	for _, test := range []struct {
		name             string
		state            State
		generation       int // 2 serves
		external, shared bool
		want             bool
	}{
		{"of the one that serves", Running, 2, false, true, false},
		{"of an old one, shared", Running, 1, false, true, false},
		{"of an old one alone", Running, 1, false, false, true},
		{"of a failed one alone", Running, 3, false, false, true},
		{"of systemd", Running, 1, true, false, false},
		{"at the end", Draining, 2, false, true, true},
		{"at the end, of an old one, shared", Killing, 1, false, true, true},
		{"at the end, of systemd", Draining, 2, true, true, false},
	} {
		m := &Machine{state: test.state, serving: &generation{number: 2}}
		if got := m.Closes(test.generation, test.external, test.shared); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
