package worker

import (
	"sync/atomic"
	"time"

	"prefork/ipc"
)

// waits has the times at which a handler waits, in ipc.Now's time. Outside of mode Event
// they and lastByteAt are recorded only while connTable.trackActivity is on.
type waits struct {
	readingSince atomic.Int64  // when the handler called Read, after it had read bytes
	bytesAtWait  atomic.Uint64 // bytesIn at that time
}

// activity has times of a connection in ipc.Now's time.
type activity struct {
	lastByteAt atomic.Int64 // of the last byte in either direction

	// The time of an answer is that from the first bytes that are read after the
	// last answer to the end of the next write. Requests that come together, and
	// an answer in several writes, count as one.
	requestAt atomic.Int64 // 0 if nothing is to be answered

	doing atomic.Pointer[string] // the argument of Doing
}

// received counts what a Read returns.
func (c *Conn) received(n int) {
	if n <= 0 {
		return
	}
	c.bytesIn.Add(uint64(n))
	now := ipc.Now()
	if c.requestAt.Load() == 0 {
		c.requestAt.Store(now)
	}
	if c.table.trackActivity.Load() {
		c.lastByteAt.Store(now)
	}
}

// sent counts what a Write has written.
func (c *Conn) sent(n int) {
	if n <= 0 {
		return
	}
	c.bytesOut.Add(uint64(n))
	tracking, requestAt := c.table.trackActivity.Load(), c.requestAt.Load()
	if !tracking && requestAt == 0 {
		return
	}
	now := ipc.Now()
	if requestAt != 0 && c.requestAt.CompareAndSwap(requestAt, 0) {
		c.table.slot.Latency.Observe(time.Duration(now - requestAt))
	}
	if tracking {
		c.lastByteAt.Store(now)
	}
}

// idleSince returns the time of the last activity, or from if that is later.
func (c *Conn) idleSince(from int64) int64 {
	since := max(from, c.lastByteAt.Load())
	if c.stream != nil {
		since = max(since, c.readingSince.Load())
	}
	return since
}

// SetDrainIdle sets how long the client may be silent during a drain before
// Read returns io.EOF, in place of Config.DrainIdle; 0 is for ever. A Service
// sets it while it waits for a request, and sets it back to 0 while it serves
// one: servers such as net/http read all the time, so a Read that waits does not
// show that a connection is idle. No byte that has arrived is lost.
func (c *Conn) SetDrainIdle(d time.Duration) { c.drainIdle.Store(int64(max(d, 0))) }
