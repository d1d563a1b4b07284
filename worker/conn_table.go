package worker

import (
	"sync"
	"sync/atomic"
	"time"

	"prefork/ipc"
)

// connTable has the active connections, and what they share.
type connTable struct {
	cfg      Config // never changes
	slot     *ipc.Slot
	peer     *ipc.Peer
	wake     *wakeup
	draining chan struct{} // closed when the final drain begins
	access   *accessLog    // nil if there is none; set before the loop starts
	events   *events       // nil outside of mode Event; set before the loop starts

	trackActivity  atomic.Bool  // connections record lastByteAt and readingSince
	drainStartedAt atomic.Int64 // in ipc.Now's time; 0 before the final drain
	resumedAt      atomic.Int64 // in ipc.Now's time: the end of the last freeze

	loopWaits atomic.Bool  // the loop waits for a connection to end
	lingering atomic.Int32 // see conn_close.go
	count     atomic.Int32 // of active connections, which the master cannot change

	mu       sync.Mutex // guards the list, each Conn's part of it, and turnover
	first    *Conn
	turnover turnover
}

func newConnTable(cfg Config, slot *ipc.Slot, peer *ipc.Peer, wake *wakeup) *connTable {
	t := &connTable{cfg: cfg, slot: slot, peer: peer, wake: wake, draining: make(chan struct{})}
	t.trackActivity.Store(cfg.IdleTimeout > 0)
	return t
}

// active returns the number of active connections.
func (t *connTable) active() int { return int(t.count.Load()) }

// add counts c as accepted and active.
func (t *connTable) add(c *Conn) {
	t.count.Add(1)
	t.slot.Active.Add(1)
	t.peer.Accepted.Store(t.slot.Accepted.Add(1))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turnover.begin(c.acceptedAt)
	t.publishLocked()
	c.next = t.first
	if t.first != nil {
		t.first.prev = c
	}
	t.first = c
}

// remove frees the place of c, which must be in the table.
func (t *connTable) remove(c *Conn) {
	t.mu.Lock()
	t.countBytesLocked(c)
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		t.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.next, c.prev = nil, nil
	t.slot.Active.Add(-1)
	t.count.Add(-1)
	t.turnover.end(c.acceptedAt)
	t.publishLocked()
	t.mu.Unlock()
	t.wakeLoop()
}

// publishLocked shows the siblings how many connections are expected to stay, and
// returns that.
func (t *connTable) publishLocked() (staying int) {
	staying = max(t.active()-t.turnover.passing(), 0)
	t.peer.Active.Store(int32(staying))
	return staying
}

// staying returns how many connections are expected to stay.
func (t *connTable) staying(now int64) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turnover.advance(now)
	return t.publishLocked()
}

// countEnd counts c as handled or failed, once: a connection that is cut is counted
// at once, because its handler may never return.
func (t *connTable) countEnd(c *Conn, failed bool) {
	switch {
	case !c.counted.CompareAndSwap(false, true):
	case failed:
		t.slot.Failed.Add(1)
	default:
		t.slot.Handled.Add(1)
		t.slot.Age.Observe(time.Duration(ipc.Now() - c.acceptedAt))
	}
}

// wakeLoop wakes the loop if it waits for a connection to end.
func (t *connTable) wakeLoop() {
	if t.loopWaits.Load() && t.loopWaits.Swap(false) {
		t.wake.notify()
	}
}

// countBytesLocked adds c's new bytes to the worker's counters. Reads and writes do
// not, because all connections would write to the same cache line.
func (t *connTable) countBytesLocked(c *Conn) {
	in, out := c.bytesIn.Load(), c.bytesOut.Load()
	t.slot.BytesIn.Add(in - c.countedIn)
	t.slot.BytesOut.Add(out - c.countedOut)
	c.countedIn, c.countedOut = in, out
}

// beginDrain starts the time of Config.DrainIdle.
func (t *connTable) beginDrain(now int64) {
	t.drainStartedAt.Store(now)
	t.trackActivity.Store(true)
	close(t.draining)
}

// checkIdle says whether c has been silent for too long.
func (t *connTable) checkIdle(c *Conn, now int64) idleReason {
	silent := func(from int64) int64 { return now - c.idleSince(max(from, t.resumedAt.Load())) }
	if from, limit := t.drainStartedAt.Load(), c.drainIdle.Load(); from != 0 && limit > 0 && silent(max(from, c.acceptedAt)) >= limit {
		return idleInDrain
	}
	if limit := int64(t.cfg.IdleTimeout); limit > 0 && silent(c.acceptedAt) >= limit {
		return idleTooLong
	}
	return notIdle
}

// sweep counts the bytes of every connection, interrupts those that are idle, and
// closes those that have exceeded Config.HandlerTimeout.
func (t *connTable) sweep(now int64) {
	if t.events != nil {
		t.events.sweep(now)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := t.first; c != nil; c = c.next {
		t.countBytesLocked(c)
		if why := t.checkIdle(c, now); why != notIdle {
			c.interruptRead(why)
		}
		if limit := t.cfg.HandlerTimeout; limit > 0 && now-c.acceptedAt >= int64(limit+cutGrace) {
			c.cut()
		}
	}
}

// slowest returns the connection with the oldest unanswered request, and when that
// came; nil if all requests are answered.
func (t *connTable) slowest() (slowest *Conn, since int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := t.first; c != nil; c = c.next {
		if at := c.requestAt.Load(); at != 0 && (slowest == nil || at < since) {
			slowest, since = c, at
		}
	}
	return slowest, since
}

// each calls f for every connection.
func (t *connTable) each(f func(c *Conn)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := t.first; c != nil; c = c.next {
		f(c)
	}
}

// all returns every connection.
func (t *connTable) all() (conns []*Conn) {
	t.each(func(c *Conn) { conns = append(conns, c) })
	return conns
}

// cutAll cuts every connection and returns how many were open.
func (t *connTable) cutAll() int {
	if t.events != nil {
		return t.events.cutAll()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for c := t.first; c != nil; c = c.next {
		if c.cut() {
			n++
		}
	}
	return n
}
