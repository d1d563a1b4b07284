package poll

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Poller waits for descriptors to become readable. One goroutine owns it.
type Poller interface {
	// Add watches fd, which stays the caller's. The error wraps ErrWatched if
	// it is watched already.
	Add(fd int) error

	// Remove stops watching fd. It must be called before fd is closed. The
	// error wraps ErrNotWatched if fd is not watched.
	Remove(fd int) error

	// Wait appends the readable descriptors to ready and returns it. A
	// descriptor with an error or a hang-up counts as readable. Wait returns
	// after timeout at the latest, rounded up to milliseconds, and may return
	// early with nothing; a negative timeout waits for ever.
	Wait(ready []int, timeout time.Duration) ([]int, error)

	// Close releases what the poller holds; the watched descriptors stay open.
	Close() error
}

// The names of the pollers.
const (
	Epoll  = "epoll"
	Poll   = "poll"
	Select = "select"
)

var (
	// ErrWatched is wrapped by Add for a descriptor that is watched already.
	ErrWatched = errors.New("descriptor is watched already")

	// ErrNotWatched is wrapped by Remove for a descriptor that is not watched.
	ErrNotWatched = errors.New("descriptor is not watched")

	// ErrRange is wrapped by Add for a descriptor that the poller cannot watch.
	ErrRange = errors.New("descriptor out of range")
)

// Names lists what New accepts.
func Names() []string { return []string{Epoll, Poll, Select} }

// New makes the poller called name.
func New(name string) (Poller, error) {
	switch name {
	case Epoll:
		return newEpoll()
	case Poll:
		return new(pollPoller), nil
	case Select:
		return new(selectPoller), nil
	}
	return nil, fmt.Errorf("no poller is called %q", name)
}

// milliseconds rounds up, so that a wait never ends before its time and a
// caller that waits again for the rest does not spin.
func milliseconds(timeout time.Duration) int {
	if timeout < 0 {
		return -1
	}
	ms := timeout / time.Millisecond
	if timeout%time.Millisecond != 0 {
		ms++
	}
	return int(min(ms, 1<<30)) // fits the kernel's int; twelve days
}

// isInterrupt says that a wait ended for no reason that concerns the caller: a
// signal, such as the one with which Go's scheduler preempts.
func isInterrupt(err error) bool { return err == unix.EINTR || err == unix.EAGAIN }
