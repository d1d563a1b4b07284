package ipc

import (
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const slotSize = 1024

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

// Slot is one worker's own memory, which no other worker can reach. The worker
// writes all but Peers and Quiet; the master reads, and what it has read outlives the
// worker. All fields are atomics in shared memory: each is whole by itself, but
// two of them may be of different moments.
//
// A worker may write nonsense, so the master believes a value no further than
// it must: Active may be negative, a counter may go back, State may be none of
// the states.
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

	// Quiet is the master's: the worker logs no failure that clients can cause,
	// and counts it in Unsaid.
	Quiet  atomic.Uint32
	Unsaid atomic.Uint32

	_ [96 - 8 - 6*4 - 6*8]byte

	Latency Histogram // answers, by the time that the handler took for them
	Age     Histogram // handled connections, by how long they were in hand

	_ [512 - 96 - 2*histogramSize]byte

	// Peers is the master's: the slots whose workers take connections in this
	// worker's generation, a bit each. A worker believes what the scoreboard
	// says of them, and of no others.
	Peers [MaxSlots / 64]atomic.Uint64
}

// The array fails to compile if Slot does not have the size it promises.
var _ = [1]struct{}{}[unsafe.Sizeof(Slot{})-slotSize]

const slotName = "prefork-worker"

// NewSlot makes the memory of one worker. The worker inherits fd, which is the
// caller's to close; Close gives the memory back.
func NewSlot() (s *Slot, fd int, err error) {
	fd, mem, err := newMemory(slotName, slotSize)
	if err != nil {
		return nil, -1, err
	}
	return (*Slot)(unsafe.Pointer(&mem[0])), fd, nil
}

// OpenSlot maps the memory behind fd, which it makes close-on-exec and which
// stays the caller's.
func OpenSlot(fd int) (*Slot, error) {
	mem, err := mapMemory(slotName, fd, slotSize)
	if err != nil {
		return nil, err
	}
	return (*Slot)(unsafe.Pointer(&mem[0])), nil
}

// Close unmaps the memory: the slot must not be used after it.
func (s *Slot) Close() error {
	if err := unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(s)), slotSize)); err != nil {
		return fmt.Errorf("unmap %s: %w", slotName, err)
	}
	return nil
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
