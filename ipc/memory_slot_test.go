package ipc

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The layout is a contract between builds with the same ProtocolVersion.
// docs/protocol.md has it as a table.
func TestTheLayoutOfSharedMemoryIsFixed(t *testing.T) {
	var s Slot
	var p Peer
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
		{"Quiet", unsafe.Offsetof(s.Quiet), 72},
		{"Unsaid", unsafe.Offsetof(s.Unsaid), 76},
		{"Calm", unsafe.Offsetof(s.Calm), 80},
		{"Latency", unsafe.Offsetof(s.Latency), 96},
		{"Age", unsafe.Offsetof(s.Age), 296},
		{"Peers", unsafe.Offsetof(s.Peers), 512},
		{"LoopLag", unsafe.Offsetof(s.LoopLag), 1024},
		{"HeapBytes", unsafe.Offsetof(s.HeapBytes), 1032},
		{"Goroutines", unsafe.Offsetof(s.Goroutines), 1040},
		{"GOMAXPROCS", unsafe.Offsetof(s.GOMAXPROCS), 1044},
		{"DoingSince", unsafe.Offsetof(s.DoingSince), 1048},
		{"Doing", unsafe.Offsetof(s.Doing), 1056},
		{"the end", unsafe.Sizeof(s), 2048},
		{"a peer's Beat", unsafe.Offsetof(p.Beat), 0},
		{"a peer's State", unsafe.Offsetof(p.State), 8},
		{"a peer's Active", unsafe.Offsetof(p.Active), 12},
		{"a peer's Accepted", unsafe.Offsetof(p.Accepted), 16},
		{"a peer's end", unsafe.Sizeof(p), 128},
	} {
		if f.offset != f.want {
			t.Errorf("%s is at %d, want %d", f.name, f.offset, f.want)
		}
	}
}

// memory returns a worker's memory and the file with which another process maps
// it.
func memory(t testing.TB) (*Slot, *os.File) {
	t.Helper()
	s, fd, err := NewSlot()
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "slot")
	t.Cleanup(func() {
		_ = f.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, f
}

func TestASlotIsSharedByThoseWhoMapIt(t *testing.T) {
	s, f := memory(t)
	if !blank(s) || !closeOnExec(t, int(f.Fd())) {
		t.Error("a new slot is not empty, or programs that a handler starts inherit it")
	}
	again, err := OpenSlot(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	s.Peers[63].Store(5)
	again.Accepted.Add(7)
	if s.Accepted.Load() != 7 || again.Peers[63].Load() != 5 {
		t.Error("two mappings show different memory")
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if other, _ := memory(t); !blank(other) {
		t.Error("two slots share their memory")
	}
}

func TestOpenSlotRefusesOtherFiles(t *testing.T) {
	noLeak(t, func() {
		if _, err := OpenSlot(-1); !errors.Is(err, unix.EBADF) {
			t.Errorf("no descriptor: %v, want EBADF", err)
		}
		fd, err := sealedFile("short", func(int) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenSlot(fd); err == nil {
			t.Error("mapped an empty file: it would fault")
		}
		_ = unix.Close(fd)
		s, fd, err := NewSlot()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Close(), unix.Close(fd)); err != nil {
			t.Error(err)
		}
	})
}

// helperWriter counts in the inherited slot until it is killed.
func helperWriter() error {
	slot, err := OpenSlot(ChannelFD)
	if err != nil {
		return err
	}
	slot.PID.Store(int32(os.Getpid()))
	slot.Beat.Store(Now())
	slot.Age.Counts[Buckets-1].Store(9)
	fmt.Println("counting")
	for {
		slot.Accepted.Add(1)
	}
}

func TestCountersSurviveTheirWriter(t *testing.T) {
	slot, file := memory(t)
	before := Now()
	h := startHelper(t, "writer", file)
	h.line()
	for seen := slot.Accepted.Load(); slot.Accepted.Load() < seen+1000; {
		// The other process adds as fast as it can, and this one sees it at once.
		if h.cmd.ProcessState != nil {
			t.Fatal("the writer has exited")
		}
	}
	h.kill()
	total := slot.Accepted.Load()
	if total < 1000 || slot.PID.Load() != int32(h.cmd.Process.Pid) || slot.Age.Counts[Buckets-1].Load() != 9 {
		t.Errorf("after the writer's death: accepted %d, pid %d", total, slot.PID.Load())
	}
	if beat := slot.Beat.Load(); beat < before-1e9 || beat > Now()+1e9 {
		t.Errorf("the writer's clock is %d, ours %d to %d", beat, before, Now())
	}
}

// helperTruncate tries to shrink the inherited memory, which would make every
// process that maps it fault.
func helperTruncate() error {
	fmt.Println(unix.Ftruncate(ChannelFD, 0) == unix.EPERM)
	fmt.Println(unix.Ftruncate(ChannelFD, 1<<20) == unix.EPERM)
	_, err := unix.FcntlInt(ChannelFD, unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
	fmt.Println(err == unix.EPERM)
	return nil
}

func TestNoWorkerCanChangeTheSizeOfSharedMemory(t *testing.T) {
	slot, file := memory(t)
	s := board(t, 4)
	for name, inherited := range map[string]*os.File{"slot": file, "scoreboard": inheritable(t, s)} {
		h := startHelper(t, "truncate", inherited)
		for _, what := range []string{"shrink", "grow", "seal"} {
			if got := h.line(); got != "true" {
				t.Errorf("a worker could %s the %s", what, name)
			}
		}
		h.wait()
	}
	slot.Accepted.Add(1) // would fault if it had shrunk
	s.Peer(3).Accepted.Add(1)
}

// inheritable returns a new *os.File of the scoreboard for os/exec.
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
	// Now may be late by the time between the two readings, but never early.
	if now > last || now < first-int64(time.Second) {
		t.Errorf("Now is %d between %d and %d", now, first, last)
	}
	if again := Now(); again < now {
		t.Errorf("Now went back from %d to %d", now, again)
	}
}
