package ipc

import (
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// slotSize is a multiple of two cache lines: neighbours never share a line, nor
// the adjacent line that the prefetcher takes along.
const slotSize = 512

// WorkerState is what a worker says of itself in its slot.
type WorkerState uint32

// The states of a slot. Free is the zero value.
const (
	Free      WorkerState = iota // no worker, or one that has not said Ready
	Paused                       // ready or held: accepts nothing
	Accepting                    // takes new connections
	Emptying                     // drains; still takes what is queued
	Draining                     // drains; takes nothing new
)

// String returns the state's name as status shows it.
func (s WorkerState) String() string {
	switch s {
	case Free:
		return "free"
	case Paused:
		return "paused"
	case Accepting:
		return "accepting"
	case Emptying:
		return "emptying"
	case Draining:
		return "draining"
	}
	return fmt.Sprintf("state(%d)", uint32(s))
}

// Slot is one worker's line on the scoreboard. The worker that holds the slot
// is the only writer while it lives; the master reads, and resets the slot
// before another worker takes it. All fields are atomics in shared memory:
// each is whole by itself, but two of them may be of different moments.
//
// A worker can write any slot, so a reader believes a value no further than it
// must: Active may be negative, State may be none of the states.
type Slot struct {
	Beat       atomic.Int64  // Now at the last heartbeat, in ns
	State      atomic.Uint32 // a WorkerState
	Generation atomic.Uint32
	PID        atomic.Int32
	Active     atomic.Int32  // connections in hand
	Accepted   atomic.Uint64 // connections taken from the listeners
	Handled    atomic.Uint64 // connections whose handler returned nil
	Failed     atomic.Uint64 // connections whose handler failed or panicked
	Rejected   atomic.Uint64 // connections refused by verify or a limit
	BytesIn    atomic.Uint64
	BytesOut   atomic.Uint64

	_ [96 - 8 - 4*4 - 6*8]byte

	Latency Histogram // answers, by the time that the handler took for them
	Age     Histogram // handled connections, by how long they were in hand

	_ [slotSize - 96 - 2*histogramSize]byte
}

// The array fails to compile if Slot does not have the size it promises.
var _ = [1]struct{}{}[unsafe.Sizeof(Slot{})-slotSize]

// Reset makes the slot as new. Only the master calls it, and only when no
// worker holds the slot. Other workers may be reading it meanwhile: they see
// Free first, then the rest go to zero.
func (s *Slot) Reset() {
	s.State.Store(uint32(Free))
	words := (*[slotSize / 8]uint64)(unsafe.Pointer(s))
	for i := range words {
		atomic.StoreUint64(&words[i], 0)
	}
}

// Now returns CLOCK_MONOTONIC in nanoseconds, the clock of Slot.Beat. Unlike
// the clock inside time.Time it means the same in every process, to within the
// few microseconds that a process's start may put between two readings; a
// reader that subtracts must therefore take a small negative age for none.
func Now() int64 { return clock.monotonic + int64(time.Since(clock.at)) }

// clock ties the runtime's clock to the kernel's once. Both are
// CLOCK_MONOTONIC, but the runtime reads it through the vDSO, which is several
// times cheaper than clock_gettime(2), and a worker beats at every turn of its
// loop.
var clock = func() (c struct {
	monotonic int64
	at        time.Time
}) {
	var ts unix.Timespec
	// The clock exists on every kernel that Go runs on, so it cannot fail.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	c.monotonic, c.at = ts.Nano(), time.Now()
	return c
}()
