package ipc

import (
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const slotSize = 2048

// WorkerState is the state that a worker shows in its slot.
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
// writes all but Peers, Quiet and Calm, the master reads. Two fields may be of different
// moments, and a broken worker may write anything: a negative Active, a counter
// that goes back, an unknown State.
type Slot struct {
	Beat       atomic.Int64  // Now at the last heartbeat, in ns
	State      atomic.Uint32 // a WorkerState
	Generation atomic.Uint32
	PID        atomic.Int32
	Active     atomic.Int32  // open connections
	Accepted   atomic.Uint64 // connections taken from the listeners
	Handled    atomic.Uint64 // connections whose handler returned nil
	Failed     atomic.Uint64 // connections whose handler failed or panicked
	Rejected   atomic.Uint64 // connections refused by verify or a limit
	BytesIn    atomic.Uint64
	BytesOut   atomic.Uint64

	// The master sets Quiet: the worker does not log failures that clients can
	// cause, but counts them in Unsaid.
	Quiet  atomic.Uint32
	Unsaid atomic.Uint32

	// The master sets Calm while it samples rarely: the worker clears it when it
	// accepts a connection, and sends a Report with StateActive.
	Calm atomic.Uint32

	_ [96 - 8 - 7*4 - 6*8]byte

	Latency Histogram // the time from a request to its answer
	Age     Histogram // the lifetime of handled connections

	_ [512 - 96 - 2*histogramSize]byte

	// The master sets Peers: a bit for each slot whose worker accepts in this
	// worker's generation. The worker reads only those on the scoreboard.
	Peers [MaxSlots / 64]atomic.Uint64

	// The worker writes these once a second.
	LoopLag    atomic.Int64  // the longest delay of the loop in that second, in ns
	HeapBytes  atomic.Uint64 // of the runtime
	Goroutines atomic.Int32
	GOMAXPROCS atomic.Int32 // from the start on
	DoingSince atomic.Int64 // Now when the oldest unanswered request came; 0 if there is none
	Doing      Text         // that request, with its client

	_ [slotSize - 1024 - 4*8 - textSize]byte
}

// This fails to compile if Slot has another size.
var _ = [1]struct{}{}[unsafe.Sizeof(Slot{})-slotSize]

const slotName = "prefork-worker"

// NewSlot makes the memory of one worker, which inherits fd. The caller closes both.
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

// Close unmaps the memory.
func (s *Slot) Close() error {
	if err := unmap(unsafe.Slice((*byte)(unsafe.Pointer(s)), slotSize)); err != nil {
		return fmt.Errorf("unmap %s: %w", slotName, err)
	}
	return nil
}

// Now returns CLOCK_MONOTONIC in nanoseconds, the clock of Slot.Beat. Processes
// may differ by some microseconds, so an age may be negative.
func Now() int64 { return clock.monotonic + int64(time.Since(clock.at)) }

// clock relates the runtime's clock, which is cheap because it uses the vDSO, to
// the kernel's.
var clock = func() (c struct {
	monotonic int64
	at        time.Time
}) {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	c.monotonic, c.at = ts.Nano(), time.Now()
	return c
}()
