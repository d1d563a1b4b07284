package poll

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// pair returns both ends of a non-blocking connection.
func pair(t *testing.T) (mine, other int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = unix.Close(fds[0]), unix.Close(fds[1]) })
	return fds[0], fds[1]
}

// fill writes to fd until the other side must read first.
func fill(t *testing.T, fd int) {
	t.Helper()
	for b := make([]byte, 64<<10); ; {
		if _, err := unix.Write(fd, b); err == unix.EAGAIN {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func empty(t *testing.T, fd int) {
	t.Helper()
	for b := make([]byte, 64<<10); ; {
		if _, err := unix.Read(fd, b); err == unix.EAGAIN {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// nothing expects that no descriptor is ready.
func nothing(t *testing.T, p Poller, why string) {
	t.Helper()
	if got, err := p.Wait(nil, 0); err != nil || len(got) > 0 {
		t.Fatalf("Wait = %v, %v; want nothing: %s", got, err, why)
	}
}

func TestAConnectionIsWatchedForOneDirection(t *testing.T) {
	each(t, func(t *testing.T, p Poller) {
		fd, other := pair(t)
		if err := p.AddConn(fd); err != nil {
			t.Fatal(err)
		}
		nothing(t, p, "it can be written, and is watched for reads")
		fill(t, fd)
		if err := p.SetWrite(fd, true); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(other, []byte("x")); err != nil {
			t.Fatal(err)
		}
		nothing(t, p, "it can be read, and is watched for writes")
		empty(t, other)
		if got := look(t, p); !slices.Equal(got, []int{fd}) {
			t.Fatalf("ready %v, want %d, which can be written", got, fd)
		}
		if err := p.SetWrite(fd, false); err != nil {
			t.Fatal(err)
		}
		if got := look(t, p); !slices.Equal(got, []int{fd}) {
			t.Fatalf("ready %v, want %d, which can be read", got, fd)
		}
		empty(t, fd)
		nothing(t, p, "the only byte was read")
	})
}

func TestAHangUpIsReportedWhileItWaitsToWrite(t *testing.T) {
	each(t, func(t *testing.T, p Poller) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fds[0])
		fill(t, fds[0])
		if err := errors.Join(p.AddConn(fds[0]), p.SetWrite(fds[0], true)); err != nil {
			t.Fatal(err)
		}
		_ = unix.Close(fds[1])
		if got := look(t, p); !slices.Equal(got, []int{fds[0]}) {
			t.Fatalf("ready %v, want %d", got, fds[0])
		}
	})
}

func TestARemovedConnectionIsForgottenInBothDirections(t *testing.T) {
	each(t, func(t *testing.T, p Poller) {
		fd, other := pair(t)
		if err := p.SetWrite(fd, true); !errors.Is(err, ErrNotWatched) {
			t.Errorf("SetWrite of a stranger: %v, want ErrNotWatched", err)
		}
		if err := errors.Join(p.AddConn(fd), p.SetWrite(fd, true), p.Remove(fd)); err != nil {
			t.Fatal(err)
		}
		nothing(t, p, "it was removed")
		if _, err := unix.Write(other, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := p.AddConn(fd); err != nil {
			t.Fatalf("add again: %v", err)
		}
		if got := look(t, p); !slices.Equal(got, []int{fd}) {
			t.Fatalf("ready %v, want %d", got, fd)
		}
	})
}

// The descriptors change places when one is removed.
func TestManyConnectionsComeAndGoInAnyOrder(t *testing.T) {
	each(t, func(t *testing.T, p Poller) {
		var fds []int
		for range 20 {
			fd := eventFD(t)
			signal(t, fd)
			fds = append(fds, fd)
			if err := p.AddConn(fd); err != nil {
				t.Fatal(err)
			}
		}
		for i := 0; len(fds) > 0; i = (i + 7) % max(len(fds), 1) {
			i %= len(fds)
			if err := p.Remove(fds[i]); err != nil {
				t.Fatal(err)
			}
			fds = slices.Delete(fds, i, i+1)
			got, err := p.Wait(nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(fds))
			if !slices.Equal(got, want) {
				t.Fatalf("ready %v, want %v", got, want)
			}
		}
	})
}
