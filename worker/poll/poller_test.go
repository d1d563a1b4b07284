package poll

import (
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/needtool"
)

// each runs a test with every poller.
func each(t *testing.T, f func(t *testing.T, p Poller)) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			p, err := New(name)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			})
			f(t, p)
		})
	}
	for name, yield := range map[string]bool{"yielding": true, "not yet yielding": false} {
		t.Run(name, func(t *testing.T) {
			p := newYielding(t)
			p.Yield(yield)
			f(t, p)
		})
	}
}

func newYielding(t *testing.T) *Yielding {
	t.Helper()
	p, err := NewYielding()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func eventFD(t *testing.T) int {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func signal(t *testing.T, fd int) {
	t.Helper()
	if _, err := unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
}

// look waits until something is ready, which may take a moment.
func look(t *testing.T, p Poller) []int {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		ready, err := p.Wait(nil, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if len(ready) > 0 {
			return ready
		}
	}
	t.Fatal("nothing is ready")
	return nil
}

func TestWaitReportsWhatIsReadable(t *testing.T) {
	each(t, func(t *testing.T, p Poller) {
		a, b := eventFD(t), eventFD(t)
		for _, fd := range []int{a, b} {
			if err := p.Add(fd); err != nil {
				t.Fatal(err)
			}
		}
		signal(t, b)
		if got := look(t, p); !slices.Equal(got, []int{b}) {
			t.Fatalf("ready %v, want only %d", got, b)
		}
		signal(t, a)
		got := look(t, p)
		slices.Sort(got)
		want := []int{min(a, b), max(a, b)}
		if !slices.Equal(got, want) {
			t.Fatalf("ready %v, want %v: the watch is level-triggered", got, want)
		}
	})
}

func TestWaitAppends(t *testing.T) {
	each(t, func(t *testing.T, p Poller) {
		fd := eventFD(t)
		if err := p.Add(fd); err != nil {
			t.Fatal(err)
		}
		signal(t, fd)
		got, err := p.Wait([]int{-7}, -1)
		if err != nil || !slices.Equal(got, []int{-7, fd}) {
			t.Fatalf("Wait = %v, %v; want [-7 %d]", got, err, fd)
		}
	})
}

func TestWaitEndsByItself(t *testing.T) {
	each(t, func(t *testing.T, p Poller) {
		if err := p.Add(eventFD(t)); err != nil {
			t.Fatal(err)
		}
		for _, timeout := range []time.Duration{0, time.Nanosecond, 3 * time.Millisecond} {
			if got, err := p.Wait(nil, timeout); err != nil || len(got) != 0 {
				t.Fatalf("Wait(%v) = %v, %v; want nothing", timeout, got, err)
			}
		}
	})
}

func TestRemoveEndsTheWatch(t *testing.T) {
	each(t, func(t *testing.T, p Poller) {
		a, b := eventFD(t), eventFD(t)
		for _, fd := range []int{a, b} {
			if err := p.Add(fd); err != nil {
				t.Fatal(err)
			}
			signal(t, fd)
		}
		if err := p.Remove(a); err != nil {
			t.Fatal(err)
		}
		if got := look(t, p); !slices.Equal(got, []int{b}) {
			t.Fatalf("ready %v, want only %d", got, b)
		}
		if err := p.Add(a); err != nil {
			t.Fatalf("add again: %v", err)
		}
		if got := look(t, p); len(got) != 2 {
			t.Fatalf("ready %v, want both", got)
		}
	})
}

func TestMisuseIsReported(t *testing.T) {
	each(t, func(t *testing.T, p Poller) {
		fd := eventFD(t)
		if err := p.Remove(fd); !errors.Is(err, ErrNotWatched) {
			t.Errorf("Remove of a stranger: %v, want ErrNotWatched", err)
		}
		if err := p.Add(fd); err != nil {
			t.Fatal(err)
		}
		if err := p.Add(fd); !errors.Is(err, ErrWatched) {
			t.Errorf("second Add: %v, want ErrWatched", err)
		}
		if err := p.Add(-1); err == nil {
			t.Error("Add(-1) succeeded")
		}
	})
}

func TestHangUpCountsAsReadable(t *testing.T) {
	each(t, func(t *testing.T, p Poller) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fds[0])
		if err := p.Add(fds[0]); err != nil {
			t.Fatal(err)
		}
		_ = unix.Close(fds[1])
		if got := look(t, p); !slices.Equal(got, []int{fds[0]}) {
			t.Fatalf("ready %v, want %d", got, fds[0])
		}
	})
}

func TestWaitReportsEventsThatArriveWhileItWaits(t *testing.T) {
	each(t, func(t *testing.T, p Poller) {
		fd := eventFD(t)
		if err := p.Add(fd); err != nil {
			t.Fatal(err)
		}
		for range 3 { // in later rounds the descriptor is ready from the start
			done := make(chan error, 1)
			go func() {
				_, err := unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
				done <- err
			}()
			look(t, p)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if _, err := unix.Read(fd, make([]byte, 8)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestSelectRefusesWhatItCannotWatch(t *testing.T) {
	p, err := New(Select)
	if err != nil {
		t.Fatal(err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur <= unix.FD_SETSIZE {
		needtool.Skip(t, "the limit of %d open files leaves no descriptor above FD_SETSIZE", limit.Cur)
	}
	high, err := unix.FcntlInt(uintptr(eventFD(t)), unix.F_DUPFD_CLOEXEC, unix.FD_SETSIZE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(high)
	if err := p.Add(high); !errors.Is(err, ErrRange) {
		t.Fatalf("Add(%d): %v, want ErrRange", high, err)
	}
	if err := p.Remove(high); !errors.Is(err, ErrNotWatched) {
		t.Fatalf("Remove(%d): %v, want ErrNotWatched", high, err)
	}
}

func TestUnknownPollerIsAnError(t *testing.T) {
	if p, err := New("kqueue"); err == nil {
		t.Fatalf("New(kqueue) = %v, want an error", p)
	}
}

func TestMillisecondsRoundUp(t *testing.T) {
	for in, want := range map[time.Duration]int{
		-1: -1, 0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2,
		1<<63 - 1: 1 << 30,
	} {
		if got := milliseconds(in); got != want {
			t.Errorf("milliseconds(%d) = %d, want %d", in, got, want)
		}
	}
}
