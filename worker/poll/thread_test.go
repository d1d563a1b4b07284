package poll

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/needtool"
)

// waiter is a goroutine that waits in a poller on its own thread.
type waiter struct {
	t   *testing.T
	tid int
	got chan result // the results of Wait
}

type result struct {
	ready []int
	err   error
}

// wait calls Wait without a timeout until something is ready or it fails.
func wait(t *testing.T, p Poller) *waiter {
	t.Helper()
	w, tid := &waiter{t: t, got: make(chan result, 100)}, make(chan int)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		tid <- unix.Gettid()
		for {
			ready, err := p.Wait(nil, -1)
			w.got <- result{ready, err}
			if err != nil || len(ready) > 0 {
				return
			}
		}
	}()
	w.tid = <-tid
	return w
}

// next returns the next result.
func (w *waiter) next() result {
	w.t.Helper()
	select {
	case r := <-w.got:
		return r
	case <-time.After(10 * time.Second):
		w.t.Fatal("the poller does not return")
		return result{}
	}
}

// asleep waits until the thread sleeps in a system call other than futex(2), in
// which the scheduler parks it.
func (w *waiter) asleep() {
	w.t.Helper()
	path := fmt.Sprintf("/proc/self/task/%d/syscall", w.tid)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		text, err := os.ReadFile(path)
		if err != nil {
			needtool.Skip(w.t, "the kernel does not say where a thread waits: %v", err)
		}
		number, _, sleeps := strings.Cut(string(text), " ") // or the word "running"
		if n, err := strconv.Atoi(number); err == nil && sleeps && n >= 0 && n != unix.SYS_FUTEX {
			return
		}
	}
	w.t.Fatal("the thread does not wait")
}

// Go's scheduler interrupts threads with a signal.
func TestASignalIsNoError(t *testing.T) {
	each(t, func(t *testing.T, p Poller) {
		if y, ok := p.(*Yielding); ok && y.yield {
			return // no thread waits for it alone
		}
		fd := eventFD(t)
		if err := p.Add(fd); err != nil {
			t.Fatal(err)
		}
		w := wait(t, p)
		for range 3 {
			w.asleep()
			if err := unix.Tgkill(unix.Getpid(), w.tid, unix.SIGURG); err != nil {
				t.Fatal(err)
			}
			if r := w.next(); r.err != nil || len(r.ready) > 0 {
				t.Fatalf("interrupted: %v, %v; want nothing and no error", r.ready, r.err)
			}
		}
		signal(t, fd)
		if r := w.next(); r.err != nil || !slices.Equal(r.ready, []int{fd}) {
			t.Errorf("after the interruptions: %v, %v", r.ready, r.err)
		}
	})
}

// All workers wait for the same listeners: one connection wakes one of them.
func TestOneEventWakesOneOfManyThatWaitInEpoll(t *testing.T) {
	const n = 4
	shared := eventFD(t)
	var waiters []*waiter
	var ends []int
	for range n {
		p, err := New(Epoll)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		end := eventFD(t)
		for _, fd := range []int{shared, end} {
			if err := p.Add(fd); err != nil {
				t.Fatal(err)
			}
		}
		waiters, ends = append(waiters, wait(t, p)), append(ends, end)
	}
	for _, w := range waiters {
		w.asleep()
	}
	signal(t, shared)
	woken := 0
	for i, w := range waiters {
		signal(t, ends[i])
		for r := (result{}); len(r.ready) == 0; {
			if r = w.next(); r.err != nil {
				t.Fatal(r.err)
			}
			if slices.Contains(r.ready, shared) {
				woken++
			}
		}
	}
	if woken != 1 {
		t.Errorf("one event has woken %d of %d", woken, n)
	}
}
