package worker

import (
	"prefork/ipc"
	"sync/atomic"
	"time"
)

// activity is when a connection last did something, in ipc.Now's time. It is
// recorded only while table.tracking is on.
type activity struct {
	lastByteAt   atomic.Int64  // a byte came or went
	readingSince atomic.Int64  // the handler came back to Read, after bytes that it had read
	bytesAtWait  atomic.Uint64 // bytesIn at that time
}

// answerTime is how a connection knows how long its handler takes to answer:
// from the first bytes that it read after its last answer to the end of its
// next write. Requests that come in one piece, and answers that go in several,
// count as one.
type answerTime struct {
	requestAt atomic.Int64           // in ipc.Now's time; 0: nothing is asked
	doing     atomic.Pointer[string] // what Doing was told last
}

// requestArrived notes that there are bytes to be answered.
func (c *Conn) requestArrived(now int64) {
	if c.requestAt.Load() == 0 {
		c.requestAt.Store(now)
	}
}

// answerSent counts an answer.
func (c *Conn) answerSent(now int64) {
	if at := c.requestAt.Load(); at != 0 && c.requestAt.CompareAndSwap(at, 0) {
		c.table.slot.Latency.Observe(time.Duration(now - at))
	}
}

// received counts what a read has brought.
func (c *Conn) received(n int) {
	if n > 0 {
		c.bytesIn.Add(uint64(n))
		now := ipc.Now()
		c.requestArrived(now)
		if c.table.trackActivity.Load() {
			c.lastByteAt.Store(now)
		}
	}
}

// sent counts what a write has taken.
func (c *Conn) sent(n int) {
	if n > 0 {
		c.bytesOut.Add(uint64(n))
		tracking := c.table.trackActivity.Load()
		if !tracking && c.requestAt.Load() == 0 {
			return
		}
		now := ipc.Now()
		c.answerSent(now)
		if tracking {
			c.lastByteAt.Store(now)
		}
	}
}

// idleSince returns when the connection last gave a sign of life, or from,
// whichever is later.
func (c *Conn) idleSince(from int64) int64 {
	return max(from, c.lastByteAt.Load(), c.readingSince.Load())
}

// SetDrainIdle sets how long the client may be silent during a drain before
// Read returns io.EOF, in place of Config.DrainIdle; 0 is for ever. A Service
// sets it while it waits for a request, and sets it back to 0 while it serves
// one: servers such as net/http read all the time, so a Read that waits does not
// show that a connection is idle. No byte that has arrived is lost.
func (c *Conn) SetDrainIdle(d time.Duration) { c.drainIdle.Store(int64(max(d, 0))) }
