package poll

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Poller waits for descriptors to become ready. One goroutine owns it. The descriptors
// stay the caller's.
type Poller interface {
	// Add watches fd until it can be read. Other processes may wait for it as well.
	Add(fd int) error

	// AddConn watches fd, a connection for which nobody else waits, until it can be
	// read.
	AddConn(fd int) error

	// SetWrite watches fd, which AddConn has added, until it can be written, and not
	// until it can be read; or, if on is false, the reverse.
	SetWrite(fd int, on bool) error

	// Remove stops watching fd. It must be called before fd is closed.
	Remove(fd int) error

	// Wait appends descriptors that are ready to ready and returns it. One with an
	// error or a hang-up counts as ready. The timeout is rounded up to
	// milliseconds; a negative one is none. Wait may return early with nothing.
	Wait(ready []int, timeout time.Duration) ([]int, error)

	// Close leaves the watched descriptors open.
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

// milliseconds rounds up, so that a caller that waits for the rest does not spin.
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

// isInterrupt says that a signal ended a wait, such as those of Go's scheduler.
func isInterrupt(err error) bool { return err == unix.EINTR || err == unix.EAGAIN }
