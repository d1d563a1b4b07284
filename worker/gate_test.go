package worker

import (
	"testing"
	"time"

	"prefork/ipc"
)

// crew makes a scoreboard of siblings with so many connections each, of which
// the first is the gate's own.
func crew(t *testing.T, now int64, active ...int32) *gate {
	t.Helper()
	board, err := ipc.NewScoreboard(len(active) + 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = board.Close() })
	for i, n := range active {
		s := board.Slot(i)
		s.Generation.Store(7)
		s.State.Store(uint32(ipc.Accepting))
		s.Beat.Store(now)
		s.Active.Store(n)
	}
	g := &gate{slot: board.Slot(0), board: board}
	g.look(now)
	return g
}

func (g *gate) mine() int { return int(g.slot.Active.Load()) }

func TestGateClosesAboveTheMean(t *testing.T) {
	const now = int64(time.Hour)
	for _, c := range []struct {
		active []int32
		open   bool
	}{
		{[]int32{0, 0, 0, 0}, true},
		{[]int32{1, 0, 0, 0}, true},
		{[]int32{4, 0, 0, 0}, true},
		{[]int32{6, 0, 0, 0}, false},
		{[]int32{8, 3, 3, 3}, true},
		{[]int32{9, 3, 3, 3}, false},
		{[]int32{100, 100, 100, 100}, true},
		{[]int32{107, 100, 100, 100}, true}, // the mean is 101.75
		{[]int32{110, 100, 100, 100}, false},
		{[]int32{5}, true},               // alone
		{[]int32{5, 50, 50, 50}, true},   // below
		{[]int32{50, 50, -1000}, false},  // nonsense counts as none
		{[]int32{5, 1000, 1, 1}, true},   // below the mean
		{[]int32{40, 30, 30, 10}, false}, // not the lowest, but above
	} {
		if got := crew(t, now, c.active...).open(now, int(c.active[0])); got != c.open {
			t.Errorf("%v: open %t, want %t", c.active, got, c.open)
		}
	}
}

func TestGateCountsOnlyWhoCouldTakeTheConnection(t *testing.T) {
	const now = int64(time.Hour)
	for name, spoil := range map[string]func(s *ipc.Slot){
		"stopped":               func(s *ipc.Slot) { s.Beat.Store(now - int64(gateStale)) },
		"paused":                func(s *ipc.Slot) { s.State.Store(uint32(ipc.Paused)) },
		"draining":              func(s *ipc.Slot) { s.State.Store(uint32(ipc.Draining)) },
		"of another generation": func(s *ipc.Slot) { s.Generation.Store(8) },
	} {
		g := crew(t, now, 10, 0)
		if g.open(now, g.mine()) {
			t.Fatal("the gate is open, the test is worthless")
		}
		g = crew(t, now, 10, 0)
		spoil(g.board.Slot(1))
		g.seen = 0
		if !g.open(now, g.mine()) {
			t.Errorf("a sibling that is %s closes the gate", name)
		}
	}
}

func TestGateOnlyDelays(t *testing.T) {
	now := int64(time.Hour)
	begin := now
	g := crew(t, now, 1000, 0)
	asks := 0
	for !g.open(now, g.mine()) {
		if asks++; asks > 100 {
			t.Fatal("the gate stays closed")
		}
		if g.until <= now {
			t.Fatalf("closed until %d, which has passed", g.until)
		}
		if g.open(g.until-1, g.mine()) {
			t.Fatal("the gate opened before its time")
		}
		now = g.until
	}
	if late := time.Duration(now - begin); late > 2*gateMost {
		t.Errorf("delayed a connection by %v", late)
	}
	g.passed()
	if g.open(now, g.mine()) {
		t.Error("the gate stays open after the connection that it let through")
	}
}

func TestGateOpensWhenTheOthersHaveCaughtUp(t *testing.T) {
	now := int64(time.Hour)
	g := crew(t, now, 10, 0)
	if g.open(now, g.mine()) {
		t.Fatal("the gate is open")
	}
	g.board.Slot(1).Active.Store(10)
	if !g.open(g.until, g.mine()) {
		t.Error("the gate stays closed")
	}
}
