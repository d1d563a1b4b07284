package worker

import (
	"prefork/ipc"
	"sync/atomic"
	"time"
)

// activity is when a connection last did something, in ipc.Now's time. It is
// recorded only while table.tracking is on.
type activity struct {
	lastByte   atomic.Int64  // a byte came or went
	waitFrom   atomic.Int64  // the handler came back to Read, after bytes that it had read
	waitedWith atomic.Uint64 // bytesIn at that time
}

// turnaround is how a connection knows how long its handler takes to answer:
// from the first bytes that it read after its last answer to the end of its
// next write. Requests that come in one piece, and answers that go in several,
// count as one.
type turnaround struct {
	askedAt atomic.Int64           // in ipc.Now's time; 0: nothing is asked
	doing   atomic.Pointer[string] // what Doing was told last
}

// asked notes that there are bytes to be answered.
func (c *Conn) asked(now int64) {
	if c.askedAt.Load() == 0 {
		c.askedAt.Store(now)
	}
}

// answered counts an answer.
func (c *Conn) answered(now int64) {
	if at := c.askedAt.Load(); at != 0 && c.askedAt.CompareAndSwap(at, 0) {
		c.table.slot.Latency.Observe(time.Duration(now - at))
	}
}

// received counts what a read has brought.
func (c *Conn) received(n int) {
	if n > 0 {
		c.bytesIn.Add(uint64(n))
		now := ipc.Now()
		c.asked(now)
		if c.table.tracking.Load() {
			c.lastByte.Store(now)
		}
	}
}

// sent counts what a write has taken.
func (c *Conn) sent(n int) {
	if n > 0 {
		c.bytesOut.Add(uint64(n))
		tracking := c.table.tracking.Load()
		if !tracking && c.askedAt.Load() == 0 {
			return
		}
		now := ipc.Now()
		c.answered(now)
		if tracking {
			c.lastByte.Store(now)
		}
	}
}

// silentSince returns when the connection last gave a sign of life, or from,
// whichever is later.
func (c *Conn) silentSince(from int64) int64 {
	return max(from, c.lastByte.Load(), c.waitFrom.Load())
}
