package worker

import (
	"testing"
	"time"

	"prefork/ipc"
)

// crew makes a scoreboard of workers with these numbers of connections. The
// first belongs to the gate.
func crew(t *testing.T, now int64, active ...int32) *gate {
	t.Helper()
	board, err := ipc.NewScoreboard(len(active) + 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = board.Close() })
	g := &gate{slot: new(ipc.Slot), board: board}
	for i, n := range active {
		p := board.Peer(i)
		p.State.Store(uint32(ipc.Accepting))
		p.Beat.Store(now)
		p.Active.Store(n)
		g.slot.Peers[0].Or(1 << i)
	}
	g.refreshPeers(now)
	return g
}

func (g *gate) mine() int { return int(g.board.Peer(0).Active.Load()) }

// empty and full are the states of a listener's queue.
func empty() bool { return false }
func full() bool  { return true }

func TestGateClosesAboveTheMean(t *testing.T) {
	const now = int64(time.Hour)
	for _, c := range []struct {
		active []int32
		open   bool
	}{
		{[]int32{0, 0, 0, 0}, true},
		{[]int32{1, 0, 0, 0}, true}, // one connection is no load
		{[]int32{2, 0, 0, 0}, false},
		{[]int32{2, 1}, true},
		{[]int32{2, 1, 1, 1}, false},
		{[]int32{3, 3, 3, 2}, true},
		{[]int32{4, 3, 3, 3}, false},
		{[]int32{5, 3}, false},
		{[]int32{100, 100, 100, 100}, true},
		{[]int32{103, 100, 100, 100}, true}, // the mean is 100.75
		{[]int32{104, 100, 100, 100}, false},
		{[]int32{5}, true},               // no siblings
		{[]int32{5, 50, 50, 50}, true},   // below
		{[]int32{50, 50, -1000}, false},  // an invalid count is 0
		{[]int32{5, 1000, 1, 1}, true},   // below the mean
		{[]int32{40, 30, 30, 10}, false}, // not the lowest, but above
	} {
		if got := crew(t, now, c.active...).open(now, int(c.active[0]), empty); got != c.open {
			t.Errorf("%v: open %t, want %t", c.active, got, c.open)
		}
	}
}

func TestGateCountsOnlySiblingsThatAccept(t *testing.T) {
	const now = int64(time.Hour)
	for name, spoil := range map[string]func(g *gate, p *ipc.Peer){
		"stopped":     func(_ *gate, p *ipc.Peer) { p.Beat.Store(now - int64(gateStale)) },
		"ahead":       func(_ *gate, p *ipc.Peer) { p.Beat.Store(now + 2*int64(gateSkew)) },
		"never there": func(_ *gate, p *ipc.Peer) { p.Beat.Store(-1 << 63) },
		"timeless":    func(_ *gate, p *ipc.Peer) { p.Beat.Store(1<<63 - 1) },
		"paused":      func(_ *gate, p *ipc.Peer) { p.State.Store(uint32(ipc.Paused)) },
		"draining":    func(_ *gate, p *ipc.Peer) { p.State.Store(uint32(ipc.Draining)) },
		"not listed":  func(g *gate, _ *ipc.Peer) { g.slot.Peers[0].Store(1) },
	} {
		g := crew(t, now, 10, 0)
		if g.open(now, g.mine(), empty) {
			t.Fatal("the gate is open, the test is worthless")
		}
		g = crew(t, now, 10, 0)
		spoil(g, g.board.Peer(1))
		g.peersReadAt = 0
		if !g.open(now, g.mine(), empty) {
			t.Errorf("a sibling that is %s closes the gate", name)
		}
	}
}

func TestGateOnlyDelays(t *testing.T) {
	now := int64(time.Hour)
	begin := now
	g := crew(t, now, 1000, 0)
	asks := 0
	for !g.open(now, g.mine(), empty) {
		if asks++; asks > 100 {
			t.Fatal("the gate stays closed")
		}
		if g.until <= now {
			t.Fatalf("closed until %d, which has passed", g.until)
		}
		if g.open(g.until-1, g.mine(), empty) {
			t.Fatal("the gate opened before its time")
		}
		now = g.until
	}
	if late := time.Duration(now - begin); late > 2*gateMaxTotal {
		t.Errorf("delayed a connection by %v", late)
	}
	g.accepted()
	if g.open(now, g.mine(), empty) {
		t.Error("the gate stays open after the connection that it let through")
	}
}

func TestGateOpensWhenTheOthersHaveCaughtUp(t *testing.T) {
	now := int64(time.Hour)
	g := crew(t, now, 10, 0)
	if g.open(now, g.mine(), empty) {
		t.Fatal("the gate is open")
	}
	g.board.Peer(1).Active.Store(10)
	if !g.open(g.until, g.mine(), empty) {
		t.Error("the gate stays closed")
	}
}

// Siblings with false counts, or siblings that cannot accept for an unknown
// reason, must not slow a worker down for ever.
func TestGateDoesNotDelayWhatNoSiblingAccepts(t *testing.T) {
	now := int64(time.Hour)
	g := crew(t, now, 1000, 0, 0, 0)
	const connections = 10_000
	begin := now
	for range connections {
		for !g.open(now, g.mine(), full) {
			now = g.until
			for i := 1; i < 4; i++ {
				g.board.Peer(i).Beat.Store(now)
			}
		}
		g.accepted()
		now += int64(50 * time.Microsecond) // time for the connection
	}
	if delayed := time.Duration(now-begin) - connections*50*time.Microsecond; delayed > 100*time.Millisecond {
		t.Errorf("%d connections were delayed by %v in all", connections, delayed)
	}
	// When the siblings accept again, the gate waits for them again.
	for range gateTrust + 1 {
		g.accepted()
	}
	for range 2 {
		if g.open(now, g.mine(), empty) {
			t.Fatal("the gate stays open")
		}
		now = g.until
	}
	if g.trust != 0 {
		t.Errorf("%d connections are still not delayed", g.trust)
	}
}
