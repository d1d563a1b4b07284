package worker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"prefork/ipc"
)

// connTable holds the connections in hand, and what all of them need to know.
type connTable struct {
	cfg      Config // never changes
	slot     *ipc.Slot
	peer     *ipc.Peer
	wake     *wakeup
	draining chan struct{} // closed when the final drain begins
	access   *accessLog    // nil if there is none; set before the loop starts

	trackActivity  atomic.Bool  // connections record when they are active
	drainStartedAt atomic.Int64 // ipc.Now when the final drain began; 0 before
	resumedAt      atomic.Int64 // ipc.Now when the process last ran again after a freeze

	// loopWaits is set by the loop when it waits for a connection to end.
	loopWaits atomic.Bool
	lingering atomic.Int32 // connections that are closed but for the peer's last words
	count     atomic.Int32 // connections in hand; slot.Active is what we say of it

	mu    sync.Mutex // guards the list and each Conn's part of it
	first *Conn
}

func newConnTable(cfg Config, slot *ipc.Slot, peer *ipc.Peer, wake *wakeup) *connTable {
	t := &connTable{cfg: cfg, slot: slot, peer: peer, wake: wake, draining: make(chan struct{})}
	t.trackActivity.Store(cfg.IdleTimeout > 0)
	return t
}

// active returns how many connections are in hand.
func (t *connTable) active() int { return int(t.count.Load()) }

// add takes c in. The loop calls it.
func (t *connTable) add(c *Conn) {
	t.count.Add(1)
	t.slot.Active.Add(1)
	t.peer.Accepted.Store(t.slot.Accepted.Add(1))
	t.publishActive()
	t.mu.Lock()
	defer t.mu.Unlock()
	c.next = t.first
	if t.first != nil {
		t.first.prev = c
	}
	t.first = c
}

// remove forgets c, which must be in the table, and frees its place.
func (t *connTable) remove(c *Conn) {
	t.mu.Lock()
	t.countLocked(c)
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		t.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.next, c.prev = nil, nil
	t.mu.Unlock()
	t.slot.Active.Add(-1)
	t.count.Add(-1)
	t.publishActive()
	t.wakeLoop()
}

// publishActive tells the siblings how many connections are in hand. Two calls at once
// may leave the older figure, until the next call or the loop's next tick.
func (t *connTable) publishActive() { t.peer.Active.Store(t.count.Load()) }

// serviceConnClosed counts a Service's connection as handled once it is closed.
func (t *connTable) serviceConnClosed(c *Conn) {
	t.countEnd(c, false)
	t.recordServed(c)
	t.remove(c)
}

// countEnd counts c as handled or failed, unless it was cut: that is counted when
// it happens, for the handler may never return.
func (t *connTable) countEnd(c *Conn, failed bool) {
	switch {
	case !c.counted.CompareAndSwap(false, true):
	case failed:
		t.slot.Failed.Add(1)
	default:
		t.slot.Handled.Add(1)
		t.observe(c)
	}
}

// observe counts how long c was in hand.
func (t *connTable) observe(c *Conn) { t.slot.Age.Observe(time.Duration(ipc.Now() - c.acceptedAt)) }

// wakeLoop tells the loop that something it may wait for has happened.
func (t *connTable) wakeLoop() {
	if t.loopWaits.Load() && t.loopWaits.Swap(false) {
		t.wake.notify()
	}
}

// countLocked moves c's bytes to the worker's memory. They are not counted there
// as they come because all connections would write to the same cache line.
func (t *connTable) countLocked(c *Conn) {
	in, out := c.bytesIn.Load(), c.bytesOut.Load()
	t.slot.BytesIn.Add(in - c.countedIn)
	t.slot.BytesOut.Add(out - c.countedOut)
	c.countedIn, c.countedOut = in, out
}

// beginDrain starts the clock of Config.DrainIdle.
func (t *connTable) beginDrain(now int64) {
	t.drainStartedAt.Store(now)
	t.trackActivity.Store(true)
	close(t.draining)
}

// checkIdle says whether c has been silent for too long.
func (t *connTable) checkIdle(c *Conn, now int64) idleReason {
	silent := func(from int64) int64 { return now - c.idleSince(max(from, t.resumedAt.Load())) }
	if from, limit := t.drainStartedAt.Load(), c.drainIdle.Load(); from != 0 && limit > 0 && silent(from) >= limit {
		return idleInDrain
	}
	if limit := int64(t.cfg.IdleTimeout); limit > 0 && silent(c.acceptedAt) >= limit {
		return idleTooLong
	}
	return notIdle
}

// sweep looks at every connection: it counts bytes, ends waits that have been
// silent for too long, and closes what has outlived Config.HandlerTimeout. The
// loop calls it.
func (t *connTable) sweep(now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := t.first; c != nil; c = c.next {
		t.countLocked(c)
		if why := t.checkIdle(c, now); why != notIdle {
			c.interruptRead(why)
		}
		if limit := t.cfg.HandlerTimeout; limit > 0 && now-c.acceptedAt >= int64(limit+cutGrace) {
			c.cut()
		}
	}
}

// slowest returns the connection whose answer has been under way for the
// longest time, and since when; nil if all are answered.
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

// cutAll closes every connection and returns how many were open.
func (t *connTable) cutAll() int {
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

// handlerContext returns the context of c's handler.
func (t *connTable) handlerContext(base context.Context) (context.Context, context.CancelFunc) {
	if limit := t.cfg.HandlerTimeout; limit > 0 {
		return context.WithTimeout(base, limit)
	}
	return base, func() {}
}
