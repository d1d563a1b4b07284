package poll

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Yielding is the epoll poller of a process in which nobody takes the only P from a
// system call. It waits in epoll_wait as the others do, or, after Yield, in Go's
// scheduler: then other goroutines run meanwhile, but the kernel wakes all processes that
// wait for the same descriptor.
type Yielding struct {
	*epollPoller
	yield bool
	file  *os.File // the epoll instance in Go's netpoller; nil before the first such wait
	raw   syscall.RawConn
}

// NewYielding makes a poller that waits in epoll_wait.
func NewYielding() (*Yielding, error) {
	e, err := newEpoll()
	if err != nil {
		return nil, err
	}
	return &Yielding{epollPoller: e}, nil
}

// Yield says where the next calls of Wait wait.
func (y *Yielding) Yield(on bool) { y.yield = on }

// Wait implements Poller.
func (y *Yielding) Wait(ready []int, timeout time.Duration) ([]int, error) {
	runtime.Gosched()
	if !y.yield || timeout == 0 {
		return y.epollPoller.Wait(ready, timeout)
	}
	if err := y.register(); err != nil {
		return ready, err
	}
	deadline := time.Time{}
	if timeout > 0 {
		deadline = time.Now().Add(timeout)
	}
	if err := y.file.SetReadDeadline(deadline); err != nil {
		return ready, fmt.Errorf("wait in the netpoller: %w", err)
	}
	var n int
	var waitErr error
	err := y.raw.Read(func(uintptr) bool {
		n, waitErr = y.waitUnseen(0)
		return n > 0 || waitErr != nil && !isInterrupt(waitErr)
	})
	switch {
	case waitErr != nil && !isInterrupt(waitErr):
		return ready, fmt.Errorf("wait in epoll: %w", waitErr)
	case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
		return ready, fmt.Errorf("wait in the netpoller: %w", err)
	}
	return y.appendReady(ready, n), nil
}

// register puts the epoll instance into Go's netpoller.
func (y *Yielding) register() (err error) {
	if y.file != nil {
		return nil
	}
	if err := unix.SetNonblock(y.fd, true); err != nil { // or os.NewFile does not
		return fmt.Errorf("make epoll non-blocking: %w", err)
	}
	y.file = os.NewFile(uintptr(y.fd), "epoll")
	y.raw, err = y.file.SyscallConn()
	return err
}

// Close implements Poller.
func (y *Yielding) Close() error {
	if y.file != nil {
		return y.file.Close()
	}
	return y.epollPoller.Close()
}
