package ipc

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func board(t testing.TB, n int) *Scoreboard {
	t.Helper()
	s, err := NewScoreboard(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

// reopen maps s once more, over a descriptor of its own.
func reopen(t *testing.T, s *Scoreboard, n int) *Scoreboard {
	t.Helper()
	fd, err := unix.Dup(s.FD())
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenScoreboard(fd, n)
	if err != nil {
		t.Fatal(errors.Join(err, unix.Close(fd)))
	}
	t.Cleanup(func() { _ = again.Close() })
	return again
}

func TestTwoMappingsShareTheSlots(t *testing.T) {
	a := board(t, 3)
	b := reopen(t, a, 3)
	for i := range 3 {
		a.Slot(i).Accepted.Store(uint64(10 + i))
		b.Slot(i).Handled.Add(uint64(20 + i))
	}
	for i := range 3 {
		if got := b.Slot(i).Accepted.Load(); got != uint64(10+i) {
			t.Errorf("slot %d: accepted %d", i, got)
		}
		if got := a.Slot(i).Handled.Load(); got != uint64(20+i) {
			t.Errorf("slot %d: handled %d", i, got)
		}
	}
}

func TestAScoreboardIsEmptyAtFirst(t *testing.T) {
	s := board(t, 5)
	if s.Len() != 5 {
		t.Errorf("%d slots", s.Len())
	}
	for i := range s.Len() {
		if !blank(s.Slot(i)) {
			t.Errorf("slot %d is not empty", i)
		}
	}
}

func TestSlotsNeverShareACacheLine(t *testing.T) {
	s := board(t, 4)
	for i := range 4 {
		if at := uintptr(unsafe.Pointer(s.Slot(i))); at%slotSize != 0 {
			t.Errorf("slot %d at %#x", i, at)
		}
	}
	if d := uintptr(unsafe.Pointer(s.Slot(1))) - uintptr(unsafe.Pointer(s.Slot(0))); d != slotSize {
		t.Errorf("slots are %d apart, want %d", d, slotSize)
	}
}

func TestBoundsAreErrors(t *testing.T) {
	noLeak(t, func() {
		for _, n := range []int{-1, 0, MaxSlots + 1} {
			if s, err := NewScoreboard(n); err == nil || s != nil {
				t.Errorf("made a scoreboard of %d slots", n)
			}
		}
	})
	s := board(t, 2)
	for _, n := range []int{-1, 0, MaxSlots + 1, 3} {
		if _, err := OpenScoreboard(s.FD(), n); err == nil {
			t.Errorf("opened %d slots of 2", n)
		}
	}
	if _, err := OpenScoreboard(-1, 2); !errors.Is(err, unix.EBADF) {
		t.Errorf("no descriptor: %v, want EBADF", err)
	}
	if s, err := NewScoreboard(MaxSlots); err != nil {
		t.Errorf("%d slots: %v", MaxSlots, err)
	} else if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, i := range []int{-1, 2, math.MaxUint/slotSize + 1} {
		if !panics(func() { s.Slot(i) }) {
			t.Errorf("there is a slot %d of 2", i)
		}
	}
}

func TestCloseEndsTheScoreboardOnce(t *testing.T) {
	noLeak(t, func() {
		s := board(t, 2)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("second Close: %v, want os.ErrClosed", err)
		}
		if s.FD() != -1 || !panics(func() { s.Slot(0) }) {
			t.Error("a closed scoreboard has a descriptor or slots")
		}
	})
}

func TestAnInheritedScoreboardBecomesCloseOnExec(t *testing.T) {
	if s := board(t, 1); !closeOnExec(t, s.FD()) || !closeOnExec(t, reopen(t, s, 1).FD()) {
		t.Error("a program that a handler starts would inherit the scoreboard")
	}
}

const helperSlots, helperSlot = 4, 2

// helperWriter counts in a slot of the inherited scoreboard until it is killed.
func helperWriter() error {
	s, err := OpenScoreboard(ChannelFD, helperSlots)
	if err != nil {
		return err
	}
	slot := s.Slot(helperSlot)
	slot.PID.Store(int32(os.Getpid()))
	slot.Beat.Store(Now())
	slot.Age.Counts[Buckets-1].Store(9)
	fmt.Println("counting")
	for {
		slot.Accepted.Add(1)
	}
}

func TestCountersSurviveTheirWriter(t *testing.T) {
	s := board(t, helperSlots)
	before := Now()
	file := inheritable(t, s)
	h := startHelper(t, "writer", file)
	h.line()
	slot := s.Slot(helperSlot)
	for seen := slot.Accepted.Load(); slot.Accepted.Load() < seen+1000; {
		// The other process adds as fast as it can: seen live, not at its end.
		if h.cmd.ProcessState != nil {
			t.Fatal("the writer has gone")
		}
	}
	h.kill()
	total := slot.Accepted.Load()
	if total < 1000 || slot.PID.Load() != int32(h.cmd.Process.Pid) || slot.Age.Counts[Buckets-1].Load() != 9 {
		t.Errorf("after the writer's death: accepted %d, pid %d", total, slot.PID.Load())
	}
	if beat := slot.Beat.Load(); beat < before-1e9 || beat > Now()+1e9 {
		t.Errorf("the writer's clock says %d, ours %d to %d", beat, before, Now())
	}
	for _, i := range []int{0, 1, 3} {
		if !blank(s.Slot(i)) {
			t.Errorf("slot %d was written", i)
		}
	}
}

// helperTruncate tries what would fault everyone who maps the scoreboard.
func helperTruncate() error {
	fmt.Println(unix.Ftruncate(ChannelFD, 0) == unix.EPERM)
	fmt.Println(unix.Ftruncate(ChannelFD, 1<<20) == unix.EPERM)
	_, err := unix.FcntlInt(ChannelFD, unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
	fmt.Println(err == unix.EPERM)
	return nil
}

func TestNoWorkerCanChangeTheSizeOfTheScoreboard(t *testing.T) {
	s := board(t, helperSlots)
	h := startHelper(t, "truncate", inheritable(t, s))
	for _, what := range []string{"shrink it", "grow it", "seal it"} {
		if got := h.line(); got != "true" {
			t.Errorf("a worker could %s", what)
		}
	}
	h.wait()
	s.Slot(helperSlots - 1).Accepted.Add(1) // would fault if it had shrunk
}

// inheritable returns a file of its own over the scoreboard, since os/exec
// wants one.
func inheritable(t *testing.T, s *Scoreboard) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(s.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "scoreboard")
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func blank(s *Slot) bool {
	b := unsafe.Slice((*byte)(unsafe.Pointer(s)), slotSize)
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}

func panics(f func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	f()
	return false
}
