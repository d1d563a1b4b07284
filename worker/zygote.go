package worker

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/internal/livefork"
	"prefork/ipc"
	"prefork/worker/poll"
)

// A zygote is started as a worker of mode Forking is, and sets up the program as one
// does. Then it forks workers at the master's request, and serves nothing itself:
//
//	hello ─► set-up ─► proof ─► ready ─► wait ──fork──► Fork ─┬─► forked, wait
//	             └───────┴─ failed         └─stop, EOF─► end  └─► the child: forked.go
//
// From the proof on it has one goroutine, and no call of it may block but the wait:
// package livefork says why.

// forkOrder is an ipc.Fork and its descriptors: channel, slot and crash file.
type forkOrder struct {
	*ipc.Fork
	fds []int
}

// selfTestForks is how many children the self-test makes.
const selfTestForks = 300

// runZygote is run for a zygote.
func runZygote(ctx context.Context, o Options, in inheritance) error {
	channel, err := ipc.NewRawChannel(in.channel)
	if err != nil {
		return failure(err)
	}
	w := &worker{opt: o, channel: channel, raw: channel, log: zap.NewNop(), level: zap.NewAtomicLevel(), index: -1, forks: true, exits: true}
	hello, err := w.begin(in)
	if err != nil {
		return w.fail(err)
	}
	if in.zygote == ipc.ZygoteTest {
		if err := livefork.SelfTest(ctx, selfTestForks); err != nil {
			return w.fail(notForkable(err))
		}
		w.send(&ipc.Ready{})
		return nil
	}
	listeners, err := w.open(hello, in)
	if err != nil {
		return w.fail(err)
	}
	made := w.log
	w.log = w.logOf("zygote")
	stopped, err := w.setUpZygote(ctx)
	if stopped {
		w.log.Info("stopped before it was ready")
		return nil
	}
	if err != nil {
		return w.fail(err)
	}
	w.crashCopy = copyOf(in.crash) // not before: the program may have set another crash output
	f, err := w.prove()
	if err != nil {
		w.stopProgram()
		return w.fail(notForkable(err))
	}
	child, err := w.forkWorkers(f)
	if child == nil {
		w.stopProgram()
		return err
	}
	w.log = made
	return w.runForked(ctx, child, listeners, in)
}

// notForkable is the error that makes the master execute its workers.
func notForkable(err error) error { return &ExitError{Code: ipc.ExitNotForkable, Err: err} }

// setUpZygote sets the program up, and obeys the master meanwhile. stopped says that the
// master has stopped the zygote or is gone.
func (w *worker) setUpZygote(ctx context.Context) (stopped bool, err error) {
	done, err := newWakeup()
	if err != nil {
		return false, err
	}
	defer done.close()
	result := make(chan error, 1)
	go func() {
		err := error(failure(fmt.Errorf("set up: %w", ErrGoexit)))
		defer func() {
			result <- err
			done.notify()
		}()
		err = w.setUp(ctx)
	}()
	for {
		input, err := awaitInput(done.fd, w.raw.FD())
		if err != nil {
			return false, failure(err)
		}
		if input == done.fd {
			return false, <-result
		}
		o, ends := w.obeyZygote()
		if ends {
			return true, nil
		}
		if o != nil {
			w.ignore(o.Fork, o.fds)
		}
	}
}

// awaitInput waits until one of the descriptors can be read, and returns the first.
func awaitInput(fds ...int) (int, error) {
	polled := make([]unix.PollFd, len(fds))
	for {
		for i, fd := range fds {
			polled[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		}
		if _, err := unix.Poll(polled, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return -1, fmt.Errorf("wait for descriptors: %w", err)
		}
		for _, p := range polled {
			if p.Revents != 0 {
				return int(p.Fd), nil
			}
		}
	}
}

// prove returns a Forker if this process can be forked.
func (w *worker) prove() (*livefork.Forker, error) {
	switch {
	case !w.once:
		return nil, fmt.Errorf("mode %s: only mode forking has a process for each connection", w.cfg.Mode)
	case w.cfg.Poller != poll.Epoll:
		return nil, fmt.Errorf("poller %s: a forked worker needs epoll", w.cfg.Poller)
	}
	f, err := livefork.New()
	if err != nil {
		return nil, err
	}
	return f, f.Prove()
}

// obeyZygote receives one message and carries it out, or returns it if it is a Fork.
// ends says that the master has stopped the zygote or is gone.
func (w *worker) obeyZygote() (o *forkOrder, ends bool) {
	switch order := w.receive().(type) {
	case masterGone, *ipc.Stop:
		return nil, true
	case forkOrder:
		return &order, false
	}
	return nil, false
}

// forkWorkers forks until the master stops the zygote or is gone. In a child it returns
// the order.
func (w *worker) forkWorkers(f *livefork.Forker) (child *forkOrder, err error) {
	if err := w.channel.Send(&ipc.Ready{}); err != nil {
		return nil, failure(fmt.Errorf("send ready: %w", err))
	}
	var stillborn []int
	for {
		if err := f.Wait(w.raw.FD()); err != nil {
			return nil, failure(err)
		}
		o, ends := w.obeyZygote()
		if ends {
			return nil, nil
		}
		if o == nil {
			continue
		}
		made, err := f.Fork()
		if err == nil && made.PID == 0 {
			return o, nil
		}
		for _, fd := range o.fds { // package unix would tell Go's scheduler of it
			_, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
		}
		stillborn = append(stillborn, made.Stillborn...)
		answer := &ipc.Forked{ID: o.ID, PID: made.PID, Stillborn: stillborn[:min(len(stillborn), ipc.MaxStillborn)]}
		if err != nil {
			answer.Error = err.Error()
		}
		w.send(answer)
		stillborn = stillborn[len(answer.Stillborn):]
	}
}
