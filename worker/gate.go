package worker

import (
	"time"

	"prefork/ipc"
)

// Taking turns at the listener (see loop.go) spreads connections that come and
// go. Long-lived ones need more: turns say nothing about who still holds what.
// So a worker whose connections stand clearly above the mean of its generation
// leaves the listeners alone for a moment, and the kernel wakes others. It is
// out of their queues meanwhile: a wake-up that it got and did not use would be
// lost for all.
//
// The gate only ever delays. Whatever a sibling's slot claims, after gateMost
// in total the worker takes one connection: a sibling that is full, paused, or
// just about to die may look as if it had room. A sibling without a heartbeat
// for gateStale is not counted at all, so that one that was stopped while it
// held little does not drag the mean down and slow everybody for good.
const (
	gateFirst = time.Millisecond // then doubled
	gateMost  = 60 * time.Millisecond
	gateStale = time.Second // two ticks of an idle worker

	gateFresh = 5 * time.Millisecond // how long a list of siblings is believed

	// Above mean × gateFactor + gateSlack the gate closes. The slack is for
	// connections that come and go: how many one happens to hold of them says
	// nothing, and to wait for a millisecond costs more than to serve one. With
	// a slack of 1, short connections took twice as long. The factor keeps
	// large numbers close together.
	gateFactor = 1.02
	gateSlack  = 4
)

// gate is the loop's.
type gate struct {
	slot  *ipc.Slot
	board *ipc.Scoreboard // nil: never closed
	peers []*ipc.Slot     // the siblings, as of the last look
	seen  int64           // when that was

	sum     uint64 // of the connections that all have taken, as of the last look
	changed int64  // when a look last found another sum

	until int64         // closed until then
	delay time.Duration // the current one; 0 while open
	spent time.Duration // in delays since the gate closed
}

// look refreshes the list of siblings, unless it is fresh: the whole scoreboard
// is much to read for every connection.
func (g *gate) look(now int64) {
	if g.seen != 0 && now-g.seen < int64(gateFresh) {
		return
	}
	g.seen = now
	g.peers = g.peers[:0]
	sum := g.slot.Accepted.Load()
	for i := 0; g.board != nil && i < g.board.Len(); i++ {
		s := g.board.Slot(i)
		if s != g.slot && s.Generation.Load() == g.slot.Generation.Load() {
			g.peers = append(g.peers, s)
			sum += s.Accepted.Load()
		}
	}
	if sum != g.sum || g.changed == 0 {
		g.sum, g.changed = sum, now
	}
}

// above says whether this worker, with mine connections in hand, holds clearly
// more than its share.
func (g *gate) above(now int64, mine int) bool {
	if mine <= gateSlack {
		return false // the cheap answer, and the most frequent
	}
	g.look(now)
	sum, n := mine, 1
	for _, s := range g.peers {
		if ipc.WorkerState(s.State.Load()) == ipc.Accepting && now-s.Beat.Load() < int64(gateStale) {
			sum += int(max(s.Active.Load(), 0)) // anybody can write to a slot
			n++
		}
	}
	return float64(mine) > float64(sum)/float64(n)*gateFactor+gateSlack
}

// open says whether the worker may wait for a connection now. If not, until is
// when to ask again.
func (g *gate) open(now int64, mine int) bool {
	if now < g.until {
		return false
	}
	if g.spent >= gateMost || !g.above(now, mine) {
		return true
	}
	g.delay = max(gateFirst, 2*g.delay)
	g.spent += g.delay
	g.until = now + int64(g.delay)
	return false
}

// passed begins anew after a connection was taken.
func (g *gate) passed() { g.until, g.delay, g.spent = 0, 0, 0 }
