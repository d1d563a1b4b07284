package ipc

import (
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The layout is a contract between builds of one ProtocolVersion, and
// docs/protocol.md has it as a table.
func TestTheLayoutOfASlotIsFixed(t *testing.T) {
	var s Slot
	for _, f := range []struct {
		name         string
		offset, want uintptr
	}{
		{"Beat", unsafe.Offsetof(s.Beat), 0},
		{"State", unsafe.Offsetof(s.State), 8},
		{"Generation", unsafe.Offsetof(s.Generation), 12},
		{"PID", unsafe.Offsetof(s.PID), 16},
		{"Active", unsafe.Offsetof(s.Active), 20},
		{"Accepted", unsafe.Offsetof(s.Accepted), 24},
		{"Handled", unsafe.Offsetof(s.Handled), 32},
		{"Failed", unsafe.Offsetof(s.Failed), 40},
		{"Rejected", unsafe.Offsetof(s.Rejected), 48},
		{"BytesIn", unsafe.Offsetof(s.BytesIn), 56},
		{"BytesOut", unsafe.Offsetof(s.BytesOut), 64},
		{"Latency", unsafe.Offsetof(s.Latency), 96},
		{"Age", unsafe.Offsetof(s.Age), 296},
		{"the end", unsafe.Sizeof(s), 512},
	} {
		if f.offset != f.want {
			t.Errorf("%s is at %d, want %d", f.name, f.offset, f.want)
		}
	}
}

func TestResetLeavesNothing(t *testing.T) {
	var s Slot
	for i := range slotSize {
		*(*byte)(unsafe.Add(unsafe.Pointer(&s), i)) = 0xff
	}
	s.Reset()
	if !blank(&s) {
		t.Error("something is left")
	}
}

// Run with -race: siblings read a slot while the master resets it. The slot is
// on the heap because the race detector does not see mapped memory.
func TestASlotMayBeReadDuringReset(t *testing.T) {
	s := new(Slot)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 1000 {
			s.Reset()
		}
	})
	for range 1000 {
		if s.Active.Load() != 0 || s.State.Load() != 0 || s.Latency.Counts[3].Load() != 0 {
			t.Error("read what nobody wrote")
		}
	}
	wg.Wait()
}

func TestEveryStateHasAName(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range []WorkerState{Free, Paused, Accepting, Emptying, Draining, 99} {
		if seen[s.String()] || s.String() == "" {
			t.Errorf("state %d is named %q", s, s)
		}
		seen[s.String()] = true
	}
}

func TestNowIsTheMonotonicClock(t *testing.T) {
	kernel := func() int64 {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			t.Fatal(err)
		}
		return ts.Nano()
	}
	first, now, last := kernel(), Now(), kernel()
	// Now may lag by what lay between its two readings, and never runs ahead.
	if now > last || now < first-int64(time.Second) {
		t.Errorf("Now is %d between %d and %d", now, first, last)
	}
	if again := Now(); again < now {
		t.Errorf("Now went back from %d to %d", now, again)
	}
}
