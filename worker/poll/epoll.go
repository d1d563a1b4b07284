package poll

import (
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// busyWait is how long a busy loop waits without the scheduler's knowledge, in ms.
const busyWait = 2

// maxEvents is how many descriptors one Wait reports, at most.
const maxEvents = 256

type epollPoller struct {
	fd     int
	busy   bool // the last Wait found something
	conns  bool // the owner serves connections itself
	unseen int  // waits since it let other goroutines run
	keepsP bool // a busy loop waits without the scheduler's knowledge
	events [maxEvents]unix.EpollEvent
}

func newEpoll() (*epollPoller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	return &epollPoller{fd: fd, keepsP: runtime.GOMAXPROCS(0) > 1}, nil
}

func (e *epollPoller) Add(fd int) error {
	return e.add(fd, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
}

func (e *epollPoller) AddConn(fd int) error {
	e.conns = true
	return e.add(fd, unix.EPOLLIN)
}

func (e *epollPoller) add(fd int, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: int32(fd)}
	err := unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, fd, &event)
	if err == unix.EEXIST {
		err = ErrWatched
	}
	if err != nil {
		return fmt.Errorf("add descriptor %d to epoll: %w", fd, err)
	}
	return nil
}

func (e *epollPoller) SetWrite(fd int, on bool) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if on {
		event.Events = unix.EPOLLOUT
	}
	err := unix.EpollCtl(e.fd, unix.EPOLL_CTL_MOD, fd, &event)
	if err == unix.ENOENT {
		err = ErrNotWatched
	}
	if err != nil {
		return fmt.Errorf("change descriptor %d in epoll: %w", fd, err)
	}
	return nil
}

func (e *epollPoller) Remove(fd int) error {
	err := unix.EpollCtl(e.fd, unix.EPOLL_CTL_DEL, fd, nil)
	if err == unix.ENOENT {
		err = ErrNotWatched
	}
	if err != nil {
		return fmt.Errorf("remove descriptor %d from epoll: %w", fd, err)
	}
	return nil
}

func (e *epollPoller) Wait(ready []int, timeout time.Duration) ([]int, error) {
	ms := milliseconds(timeout)
	n, err := e.waitUnseen(0)
	if n == 0 && err == nil && ms != 0 && e.busy && e.keepsP {
		e.yield()
		hot := busyWait
		if ms > 0 {
			hot = min(hot, ms)
			ms -= hot
		}
		n, err = e.waitUnseen(hot)
	}
	if n == 0 && err == nil && ms != 0 {
		n, err = unix.EpollWait(e.fd, e.events[:], ms)
	}
	e.busy = n > 0
	if err != nil && !isInterrupt(err) {
		return ready, fmt.Errorf("wait in epoll: %w", err)
	}
	return e.appendReady(ready, n), nil
}

// appendReady appends the descriptors of the first n events.
func (e *epollPoller) appendReady(ready []int, n int) []int {
	for i := range max(n, 0) {
		ready = append(ready, int(e.events[i].Fd))
	}
	return ready
}

// yieldEvery is how many times an owner that serves connections itself waits before it
// lets other goroutines run. They have other Ps; to wake a thread for them each time
// would cost more than the wait.
const yieldEvery = 32

// yield lets the goroutines run that the owner has started.
func (e *epollPoller) yield() {
	if e.unseen++; !e.conns || e.unseen >= yieldEvery {
		e.unseen = 0
		runtime.Gosched()
	}
}

// waitUnseen is epoll_wait without the scheduler's knowledge, so it must be short.
func (e *epollPoller) waitUnseen(ms int) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(e.fd),
		uintptr(unsafe.Pointer(&e.events[0])), uintptr(len(e.events)), uintptr(ms), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (e *epollPoller) Close() error {
	if err := unix.Close(e.fd); err != nil {
		return fmt.Errorf("close epoll: %w", err)
	}
	return nil
}
