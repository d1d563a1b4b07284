package ipc

import (
	"errors"
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

// reopen maps s again with a new descriptor.
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

func TestTwoMappingsShareThePeers(t *testing.T) {
	a := board(t, 3)
	b := reopen(t, a, 3)
	for i := range 3 {
		a.Peer(i).Accepted.Store(uint64(10 + i))
		b.Peer(i).Active.Add(int32(20 + i))
	}
	for i := range 3 {
		if got := b.Peer(i).Accepted.Load(); got != uint64(10+i) {
			t.Errorf("slot %d: accepted %d", i, got)
		}
		if got := a.Peer(i).Active.Load(); got != int32(20+i) {
			t.Errorf("slot %d: active %d", i, got)
		}
	}
}

func TestAScoreboardIsEmptyAtFirst(t *testing.T) {
	s := board(t, 5)
	if s.Len() != 5 {
		t.Errorf("%d slots", s.Len())
	}
	for i := range s.Len() {
		if !blank(s.Peer(i)) {
			t.Errorf("slot %d is not empty", i)
		}
	}
}

func TestPeersNeverShareACacheLine(t *testing.T) {
	s := board(t, 4)
	for i := range 4 {
		if at := uintptr(unsafe.Pointer(s.Peer(i))); at%peerSize != 0 {
			t.Errorf("slot %d at %#x", i, at)
		}
	}
	if d := uintptr(unsafe.Pointer(s.Peer(1))) - uintptr(unsafe.Pointer(s.Peer(0))); d != peerSize {
		t.Errorf("peers are %d apart, want %d", d, peerSize)
	}
}

func TestValuesOutOfBoundsAreErrors(t *testing.T) {
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
	for _, i := range []int{-1, 2, math.MaxUint/peerSize + 1} {
		if !panics(func() { s.Peer(i) }) {
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
		if s.FD() != -1 || !panics(func() { s.Peer(0) }) {
			t.Error("a closed scoreboard has a descriptor or slots")
		}
	})
}

func TestAnInheritedScoreboardBecomesCloseOnExec(t *testing.T) {
	if s := board(t, 1); !closeOnExec(t, s.FD()) || !closeOnExec(t, reopen(t, s, 1).FD()) {
		t.Error("a program that a handler starts would inherit the scoreboard")
	}
}

// A slot does not show anything of its previous worker.
func TestResetClearsThePeer(t *testing.T) {
	s := board(t, 1)
	p := s.Peer(0)
	p.Beat.Store(-1)
	p.State.Store(^uint32(0))
	p.Active.Store(-1)
	p.Accepted.Store(^uint64(0))
	p.Reset()
	if !blank(p) {
		t.Error("the slot is not empty")
	}
}

// blank reports whether all memory of v is zero.
func blank[T any](v *T) bool {
	b := unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}

func panics(f func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	f()
	return false
}
