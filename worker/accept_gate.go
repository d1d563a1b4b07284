package worker

import (
	"math/bits"
	"time"

	"prefork/ipc"
)

// Workers that accept in turns (accept.go) share short connections evenly. Long
// ones need more. A worker that has more connections than the mean of its
// generation closes its gate: it leaves the listeners' queues for a moment, so that
// the kernel wakes others. Connections that are expected to end soon (turnover) do not
// count, because a delay would cost them more than an uneven share: it took them twice
// as long.
//
// Every worker can write all of the scoreboard, so the gate only delays:
//
//   - It counts only the siblings that the master has listed in the worker's own
//     memory, and only those with a heartbeat in the last gateStale.
//   - After gateMaxTotal the worker accepts one connection, whatever the siblings
//     show: they may be full or about to die.
//   - If a connection waits after a delay, and again after the next one, the
//     siblings do not accept it. The worker accepts it, and the next ones without a
//     delay: 1, 2, 4 and so on up to gateTrust as long as that continues. So wrong
//     figures cost some milliseconds in a thousand connections.
const (
	gateFirst    = time.Millisecond // then doubled
	gateMaxTotal = 60 * time.Millisecond
	gateStale    = time.Second            // two ticks of an idle worker
	gateSkew     = 100 * time.Millisecond // how far in the future a heartbeat may be
	gateTrust    = 1024

	gateFresh = 5 * time.Millisecond // how long a list of siblings is used

	// The gate closes above mean × gateFactor + gateSlack. The factor is for large
	// numbers.
	gateFactor = 1.02
	gateSlack  = 0.5
)

// gate belongs to the loop.
type gate struct {
	slot        *ipc.Slot
	board       *ipc.Scoreboard // nil: never closed
	self        int             // this worker's slot on the board
	peers       []*ipc.Peer     // the siblings, when they were last read
	peersReadAt int64

	sum        uint64 // of the connections that all have accepted, then
	lastChange int64  // when sum last changed

	until int64         // closed until then
	delay time.Duration // the current one; 0 while open
	spent time.Duration // in delays since the gate closed

	waited    bool // a connection waited after the last delay
	undelayed int  // how many connections are accepted without a delay
	trust     int  // how many they were last time
}

// refreshPeers reads the list of siblings, unless it is fresh.
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

// alone says that the worker is the only one of its generation.
func (g *gate) alone(now int64) bool {
	g.refreshPeers(now)
	return g.board != nil && len(g.peers) == 0
}

// overloaded says whether this worker, with mine connections, has clearly more than
// its share.
func (g *gate) overloaded(now int64, mine int) bool {
	if mine <= 1 {
		return false
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

// open says whether the worker may wait for a connection now. If not, until is when
// to ask again.
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

// accepted opens the gate after an accept.
func (g *gate) accepted() {
	g.until, g.delay, g.spent, g.waited = 0, 0, 0, false
	g.undelayed = max(0, g.undelayed-1)
}
