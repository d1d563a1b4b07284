package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"prefork/worker/poll"
)

const (
	pollWindow      = 15 * time.Millisecond
	quickPollWindow = 100 * time.Microsecond
)

// idleCounts are the numbers of descriptors that are watched beside the ready
// one. Select can watch those below 1024 only.
var idleCounts = []int{1, 3, 10, 30, 100, 300, 1000, 3000, 10_000}

// waiter watches descriptors of which the last is ready. Wait asks once, without
// waiting, and returns those that are ready.
type waiter struct {
	name  string
	ours  bool
	limit int // of descriptors; 0 is none
	watch func(fds []int) (wait func() ([]int, error), close func() error, err error)
}

// poll measures what it costs to learn that one descriptor is ready, by how many
// others are watched and idle.
func (b *bench) poll(ctx context.Context) error {
	fds, err := openIdle(idleCounts[len(idleCounts)-1] + 1)
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd) // a socket without data
		}
	}()
	s := b.suite("poll", "The cost of one ready descriptor, by the number of idle ones", "event", mCPU)
	s.XTitle = "idle descriptors"
	s.Load = "One socket is ready, and a number of others are watched and idle. Solid: `worker/poll`; dashed: the system call alone, " +
		"and the search for the descriptor in its result. CPU time of the thread; calls that do not wait."
	if err != nil {
		s.Notes = append(s.Notes, fmt.Sprintf("No more than %d descriptors: %v.", len(fds), err))
	}
	window := pollWindow
	if b.quick {
		window = quickPollWindow
	}
	waiters := waiters()
	for _, w := range waiters {
		s.Curves = append(s.Curves, curve{Name: w.name, Ours: w.ours})
	}
	for round := range b.rounds {
		for _, idle := range idleCounts {
			if idle+1 > len(fds) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			for i := range waiters {
				at := (round + i) % len(waiters)
				w := waiters[at]
				if w.limit > 0 && fds[idle] >= w.limit {
					continue
				}
				cost, err := w.cost(fds[:idle+1], window)
				if err != nil {
					return fmt.Errorf("%s, %d idle: %w", w.name, idle, err)
				}
				s.Curves[at].add(float64(idle), cost)
			}
		}
		fmt.Fprintf(b.progress, "poll, round %d\n", round+1)
	}
	b.report.Suites = append(b.report.Suites, s)
	return nil
}

// add appends one round's value.
func (c *curve) add(x, value float64) {
	i := slices.IndexFunc(c.Points, func(p point) bool { return p.X == x })
	if i < 0 {
		c.Points = append(c.Points, point{X: x})
		i = len(c.Points) - 1
	}
	c.Points[i].Values = append(c.Points[i].Values, value)
}

// cost returns the CPU time of one wait, in microseconds.
func (w waiter) cost(fds []int, window time.Duration) (float64, error) {
	ready := fds[len(fds)-1]
	if err := sendToItself(ready); err != nil {
		return 0, err
	}
	wait, closeIt, err := w.watch(fds)
	if err != nil {
		return 0, err
	}
	var spent time.Duration
	calls := 0
	for batch := 1; spent < window && err == nil; batch *= 2 {
		began := threadCPU()
		for range batch {
			var found []int
			if found, err = wait(); err != nil {
				break
			}
			if len(found) != 1 || found[0] != ready {
				err = fmt.Errorf("descriptors %v are ready, want %d", found, ready)
				break
			}
		}
		// The last batch is about half of all: what came before warmed up.
		spent, calls = threadCPU()-began, batch
	}
	var one [1]byte
	_, errRead := unix.Read(ready, one[:])
	if err := errors.Join(err, closeIt(), errRead); err != nil {
		return 0, err
	}
	return micros(spent) / float64(calls), nil
}

// waiters are the pollers of worker/poll, and the system calls that they use.
func waiters() []waiter {
	var list []waiter
	for _, name := range poll.Names() {
		w := waiter{name: name, ours: true, watch: func(fds []int) (func() ([]int, error), func() error, error) {
			return watchPoller(name, fds)
		}}
		raw := waiter{name: name + ", system call"}
		switch name {
		case poll.Epoll:
			raw.watch = watchEpoll
		case poll.Poll:
			raw.watch = watchPoll
		case poll.Select:
			raw.watch = watchSelect
			w.limit, raw.limit = unix.FD_SETSIZE, unix.FD_SETSIZE
		}
		list = append(list, w, raw)
	}
	return list
}

func watchPoller(name string, fds []int) (func() ([]int, error), func() error, error) {
	p, err := poll.New(name)
	if err != nil {
		return nil, nil, err
	}
	for _, fd := range fds {
		if err := p.AddConn(fd); err != nil {
			return nil, nil, errors.Join(err, p.Close())
		}
	}
	var found []int
	return func() (_ []int, err error) {
		found, err = p.Wait(found[:0], 0)
		return found, err
	}, p.Close, nil
}

func watchEpoll(fds []int) (func() ([]int, error), func() error, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, nil, err
	}
	closeIt := func() error { return unix.Close(epoll) }
	for _, fd := range fds {
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			return nil, nil, errors.Join(err, closeIt())
		}
	}
	var events [16]unix.EpollEvent
	var found []int
	return func() ([]int, error) {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		if errno != 0 {
			return nil, errno
		}
		found = found[:0]
		for i := range int(n) {
			found = append(found, int(events[i].Fd))
		}
		return found, nil
	}, closeIt, nil
}

func watchPoll(fds []int) (func() ([]int, error), func() error, error) {
	list := make([]unix.PollFd, len(fds))
	for i, fd := range fds {
		list[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	var found []int
	return func() ([]int, error) {
		var now unix.Timespec
		n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&list[0])), uintptr(len(list)), uintptr(unsafe.Pointer(&now)), 0, 0, 0)
		if errno != 0 {
			return nil, errno
		}
		found = found[:0]
		for i := 0; i < len(list) && len(found) < int(n); i++ {
			if list[i].Revents != 0 {
				found = append(found, int(list[i].Fd))
			}
		}
		return found, nil
	}, func() error { return nil }, nil
}

func watchSelect(fds []int) (func() ([]int, error), func() error, error) {
	var watched unix.FdSet
	for _, fd := range fds {
		watched.Set(fd)
	}
	highest := slices.Max(fds)
	var found []int
	return func() ([]int, error) {
		set := watched
		var now unix.Timespec
		n, _, errno := unix.RawSyscall6(unix.SYS_PSELECT6, uintptr(highest+1), uintptr(unsafe.Pointer(&set)), 0, 0, uintptr(unsafe.Pointer(&now)), 0)
		if errno != 0 {
			return nil, errno
		}
		found = found[:0]
		for _, fd := range fds {
			if len(found) < int(n) && set.IsSet(fd) {
				found = append(found, fd)
			}
		}
		return found, nil
	}, func() error { return nil }, nil
}

// openIdle opens sockets that nobody sends to. It returns those that it could
// open.
func openIdle(n int) ([]int, error) {
	fds := make([]int, 0, n)
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fds, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// sendToItself makes a socket ready to be read.
func sendToItself(fd int) error {
	address, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	if a, ok := address.(*unix.SockaddrInet4); ok && a.Port == 0 {
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return err
		}
		if address, err = unix.Getsockname(fd); err != nil {
			return err
		}
	}
	return unix.Sendto(fd, []byte{1}, 0, address)
}

// threadCPU is the CPU time of the main thread, which runs this program.
func threadCPU() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
