package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"

	"prefork/worker/poll"
)

// A forked worker is a zygote's child, and has one P that nobody takes from a goroutine:
// neither the runtime's preemption nor its end of system calls works there. So while
// its loop waits in the poller no other goroutine runs. That is right for a spare, which has
// nothing else to do, and takes its turn at the listeners only that way (accept.go).
// From its connection on it waits in Go's scheduler, so that the handler runs.
//
// There is no goroutine that listens to the master: the loop reads the channel, and the
// eventfd that counts SIGTERM.

// forkedLoop is what the loop of a forked worker has in addition.
type forkedLoop struct {
	yielding *poll.Yielding // the loop's poller
	term     int            // see countTerm
}

// runForked is run for a zygote's child.
func (w *worker) runForked(ctx context.Context, o *forkOrder, listeners []*listener, in inheritance) error {
	w.forks, w.forked, w.started = false, true, false // WorkerStop is the zygote's
	err := w.replaceZygote(o, in)
	if err == nil {
		err = w.prepareTable()
	}
	if err == nil {
		err = w.afterFork()
	}
	if err != nil {
		closeListeners(listeners)
		return w.fail(err)
	}
	return w.work(ctx, listeners, nil)
}

// replaceZygote replaces what the child must not share with the zygote. Its descriptors
// have the numbers of the zygote's.
func (w *worker) replaceZygote(o *forkOrder, in inheritance) error {
	for i, to := range []int{in.channel, in.slot, in.crash} {
		err := unix.Dup3(o.fds[i], to, unix.O_CLOEXEC)
		_ = unix.Close(o.fds[i])
		if err != nil {
			return failure(fmt.Errorf("replace descriptor %d: %w", to, err))
		}
	}
	if err := w.replaceCrashOutput(in.crash); err != nil {
		return failure(err)
	}
	if err := w.takeSlot(o.Slot, in.slot); err != nil {
		return err
	}
	nameThread() // the zygote may have forked from any of its threads
	w.setLevel(o.LogLevel)
	w.log = w.logOf("worker")
	return nil
}

// nameThread is nameProcess for a process with one thread.
func nameThread() {
	var name [16]byte // the kernel's limit
	copy(name[:len(name)-1], filepath.Base(os.Args[0]))
	_, _, _ = unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name)), 0)
}

// replaceCrashOutput gives the runtime this process's crash file. It does so under the
// number of the copy that the runtime has made of the zygote's, if that was found:
// debug.SetCrashOutput costs 15 page faults.
func (w *worker) replaceCrashOutput(fd int) error {
	if w.crashCopy < 0 {
		return w.setCrashOutput()
	}
	if err := unix.Dup3(fd, w.crashCopy, unix.O_CLOEXEC); err != nil {
		return fmt.Errorf("replace the crash output: %w", err)
	}
	return nil
}

// mostCopied is more than the number of the copy: it is the lowest that was free.
const mostCopied = 256

// copyOf returns the only other descriptor of the file behind fd, or -1.
func copyOf(fd int) int {
	var want, got unix.Stat_t
	found := -1
	if unix.Fstat(fd, &want) != nil {
		return -1
	}
	for other := range mostCopied {
		if other == fd || unix.Fstat(other, &got) != nil || got.Dev != want.Dev || got.Ino != want.Ino {
			continue
		}
		if found >= 0 {
			return -1
		}
		found = other
	}
	return found
}

// afterFork calls the hook.
func (w *worker) afterFork() error {
	if w.opt.Hooks.AfterFork == nil {
		return nil
	}
	return catchPanic(func() error { return w.opt.Hooks.AfterFork(w.info()) })
}

// newForkedLoop makes what newLoop needs in a forked worker.
func newForkedLoop(w *worker) (*forkedLoop, error) {
	p, err := poll.NewYielding()
	if err != nil {
		return nil, err
	}
	f := &forkedLoop{yielding: p}
	if f.term, err = countTerm(); err == nil {
		err = errors.Join(p.Add(f.term), p.Add(w.raw.FD()))
	}
	if err != nil {
		_ = p.Close()
		return nil, err
	}
	return f, nil
}

// isSpare says that no other goroutine has anything to do.
func (l *loop) isSpare() bool {
	return !l.draining() && l.table.active() == 0 && l.table.lingering.Load() == 0
}

// takeForked handles the descriptors of newForkedLoop, and returns false for others.
func (l *loop) takeForked(fd int) bool {
	switch fd {
	case l.term:
		var count [8]byte
		_, _ = unix.Read(fd, count[:])
		l.orders = append(l.orders, terminated{})
	case l.raw.FD():
		order := l.receive()
		if _, gone := order.(masterGone); gone {
			_ = l.poller.Remove(fd)
		}
		if order != nil {
			l.orders = append(l.orders, order)
		}
	default:
		return false
	}
	return true
}
