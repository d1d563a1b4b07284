package worker

import (
	"math/bits"
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
// The gate only ever delays, and believes no more than it must, for every
// worker can write all of the scoreboard:
//
//   - It counts only the siblings that the master has listed in the worker's own
//     memory, and only with a heartbeat of the last gateStale: one that was
//     stopped while it held little does not drag the mean down for good.
//   - After gateMost in total the worker takes one connection, whatever the
//     siblings claim: one that is full, or about to die, may look as if it had
//     room.
//   - If a connection waits after a delay, and after the next, the siblings do
//     not take it, whatever they claim. The worker takes it, and goes without
//     delays for a number of connections, which doubles up to gateTrust as long
//     as that goes on. So false figures cost some milliseconds in a thousand
//     connections.
const (
	gateFirst    = time.Millisecond // then doubled
	gateMaxTotal = 60 * time.Millisecond
	gateStale    = time.Second            // two ticks of an idle worker
	gateSkew     = 100 * time.Millisecond // how far ahead a heartbeat may be: a sibling may have beaten since now
	gateTrust    = 1024

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
	slot        *ipc.Slot
	board       *ipc.Scoreboard // nil: never closed
	self        int             // this worker's slot on the board
	peers       []*ipc.Peer     // the siblings, as of the last look
	peersReadAt int64           // when that was

	sum        uint64 // of the connections that all have taken, as of the last look
	lastChange int64  // when a look last found another sum

	until int64         // closed until then
	delay time.Duration // the current one; 0 while open
	spent time.Duration // in delays since the gate closed

	waited    bool // a connection waited after the last delay
	undelayed int  // so many connections are not delayed
	trust     int  // how many they were last time
}

// refreshPeers refreshes the list of siblings, unless it is fresh: the whole scoreboard
// is much to read for every connection.
func (g *gate) refreshPeers(now int64) {
	if g.peersReadAt != 0 && now-g.peersReadAt < int64(gateFresh) {
		return
	}
	g.peersReadAt = now
	g.peers = g.peers[:0]
	sum := g.slot.Accepted.Load()
	for i := 0; g.board != nil && i < g.board.Len(); i += 64 {
		for word := g.slot.Peers[i/64].Load(); word != 0; word &= word - 1 {
			if n := i + bits.TrailingZeros64(word); n != g.self && n < g.board.Len() {
				p := g.board.Peer(n)
				g.peers = append(g.peers, p)
				sum += p.Accepted.Load()
			}
		}
	}
	if sum != g.sum || g.lastChange == 0 {
		g.sum, g.lastChange = sum, now
	}
}

// overloaded says whether this worker, with mine connections in hand, holds clearly
// more than its share.
func (g *gate) overloaded(now int64, mine int) bool {
	if mine <= gateSlack {
		return false // the cheap answer, and the most frequent
	}
	g.refreshPeers(now)
	sum, n := mine, 1
	for _, p := range g.peers {
		age := now - p.Beat.Load()
		if ipc.WorkerState(p.State.Load()) == ipc.Accepting && age < int64(gateStale) && age > -int64(gateSkew) {
			sum += int(max(p.Active.Load(), 0))
			n++
		}
	}
	return float64(mine) > float64(sum)/float64(n)*gateFactor+gateSlack
}

// open says whether the worker may wait for a connection now. If not, until is
// when to ask again. queued says whether a connection waits.
func (g *gate) open(now int64, mine int, queued func() bool) bool {
	if now < g.until {
		return false
	}
	if g.undelayed > 0 || g.spent >= gateMaxTotal || !g.overloaded(now, mine) {
		return true
	}
	if g.spent > 0 {
		waits := queued()
		if waits && g.waited {
			g.trust = min(max(1, 2*g.trust), gateTrust)
			g.undelayed = g.trust
			return true
		}
		if !waits {
			g.trust = 0
		}
		g.waited = waits
	}
	g.delay = max(gateFirst, 2*g.delay)
	g.spent += g.delay
	g.until = now + int64(g.delay)
	return false
}

// accepted begins anew after a connection was taken.
func (g *gate) accepted() {
	g.until, g.delay, g.spent, g.waited = 0, 0, 0, false
	g.undelayed = max(0, g.undelayed-1)
}
