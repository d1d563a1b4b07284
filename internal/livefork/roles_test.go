package livefork

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// roles are the programs that tests start.
var roles map[string]func() error

func init() {
	roles = map[string]func() error{
		"self-test": func() error { return SelfTest(context.Background(), 300) },
		"late":      func() error { return lateSelfTest() },

		"prove":        prove,
		"signal":       func() error { signal.Notify(make(chan os.Signal, 1), unix.SIGHUP); return prove() },
		"ignore":       func() error { signal.Ignore(unix.SIGHUP); return prove() },
		"goroutine":    func() error { go func() { select {} }(); return prove() },
		"blocked":      blocked,
		"side":         side,
		"pipe":         pipe,
		"connection":   connection,
		"file":         file,
		"lock":         func() error { runtime.LockOSThread(); runtime.UnlockOSThread(); return prove() },
		"second epoll": secondEpoll,

		"grandchild":  grandchild,
		"stillborn":   stillbornChildren,
		"awake":       awakeSysmon,
		"woken":       wokenSysmon,
		"orphan":      func() error { orphanTime = 1; var word uint32; awaitVerdict(&word, 4); return nil },
		"idle":        idle,
		"call":        call,
		"collection":  collection,
		"room":        room,
		"descriptors": descriptors,
		"percent":     percent,
		"timers":      timers,

		"random":       random,
		"exec":         children(20, exited(0), runProgram),
		"panic":        children(20, exited(2), func(int) int { panic("a test") }),
		"goexit panic": children(20, exited(2), func(int) int { go panic("a test"); select {} }),
		"fatal error":  children(20, exited(2), unlocked),
		"overflow":     children(2, exited(2), overflow),
		"nil":          children(20, exited(2), func(int) int { var p *int; return *p }),
		"all stacks":   children(50, exited(0), allStacks),
		"crash output": children(10, exited(2), crashOutput),
		"quit":         children(5, exited(2), func(int) int { return kill(unix.SIGQUIT) }),
		"quit, crash":  children(1, killed(unix.SIGABRT), func(int) int { return kill(unix.SIGQUIT) }),
		"abort":        children(5, exited(2), func(int) int { return kill(unix.SIGABRT) }),
		"abort, crash": children(1, killed(unix.SIGABRT), func(int) int { return kill(unix.SIGABRT) }),
		"term":         children(20, killed(unix.SIGTERM), func(int) int { return kill(unix.SIGTERM) }),
		"locked":       children(50, exited(0), lockedThreads),
		"notify":       children(50, exited(0), notify),
		"profile":      children(20, exited(0), profile),
		"busy":         children(10, exited(0), busy),
	}
}

// children is a role whose children all do the same.
func children(n int, want unix.WaitStatus, work func(i int) int) func() error {
	return func() error {
		f, err := newForker()
		if err != nil {
			return err
		}
		return forkEach(f, n, want, work)
	}
}

func prove() error {
	f, err := newForker()
	if err != nil {
		return err
	}
	if err := f.Prove(); err != nil {
		return err
	}
	return forkEach(f, 3, exited(0), notify)
}

func lateSelfTest() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return SelfTest(ctx, 300)
}

// blocked has a goroutine in a system call.
func blocked() error {
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		return err
	}
	go func() { _, _ = unix.Read(p[0], make([]byte, 1)) }()
	runtime.Gosched()
	return prove()
}

// side asks from another goroutine than main's.
func side() error {
	result := make(chan error)
	go func() { result <- prove() }()
	return <-result
}

// pipe has a descriptor in the netpoller, but no goroutine that waits for it.
func pipe() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { r.Close(); w.Close() }()
	if err := r.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		return err
	}
	return prove()
}

func connection() error {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	l.Close()
	return prove()
}

// file reads a file and waits for timers and a program; all of that has ended.
func file() error {
	if _, err := os.ReadFile("/proc/self/exe"); err != nil {
		return err
	}
	time.Sleep(time.Millisecond)
	if runProgram(0) != 0 {
		return errors.New("a program failed")
	}
	return prove()
}

func secondEpoll() error {
	if _, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	return prove()
}

func grandchild() error {
	f, err := newForker()
	if err != nil {
		return err
	}
	return forkEach(f, 1, exited(0), func(int) int {
		for _, try := range []func() error{
			f.Prove,
			func() error { _, err := f.Fork(); return err },
			func() error { _, err := New(); return err },
		} {
			if c, ok := try().(*Condition); !ok || c.Name != Forked {
				return 1
			}
		}
		return 0
	})
}

// withFiles replaces what the Forker knows of sysmon.
func withFiles(call, stat string) (*Forker, error) {
	f, err := newForker()
	if err != nil {
		return nil, err
	}
	if err := f.Prove(); err != nil {
		return nil, err
	}
	for path, fd := range map[string]int{call: f.callFile, stat: f.statFile} {
		if path == "" {
			continue
		}
		file, err := unix.Open(path, unix.O_RDONLY, 0)
		if err != nil {
			return nil, err
		}
		if err := unix.Dup3(file, fd, unix.O_CLOEXEC); err != nil {
			return nil, err
		}
	}
	f.restN = 0
	return f, nil
}

// wokenSysmon has counters that stay the same and a state that is not asleep: sysmon was
// woken, and waits for a processor.
func wokenSysmon() error {
	f, err := withFiles("/proc/self/comm", "/proc/sys/kernel/ostype")
	if err != nil {
		return err
	}
	if f.sysmonRests() {
		return errors.New("sysmon rests, but was never seen asleep")
	}
	f.restN = rawRead(f.statFile, &f.rest)
	if !f.sysmonRests() {
		return errors.New("sysmon has not run since it was seen asleep, but does not rest")
	}
	f.rest[0]++
	if f.sysmonRests() {
		return errors.New("sysmon rests, but has run")
	}
	return nil
}

func stillbornChildren() error {
	f, err := withFiles("", "/proc/sys/kernel/random/uuid") // another one at each reading
	if err != nil {
		return err
	}
	c, err := f.Fork()
	if c.PID == 0 && err == nil {
		os.Exit(0)
	}
	if cond, ok := err.(*Condition); !ok || cond.Name != Sysmon || len(c.Stillborn) < 3 {
		return fmt.Errorf("%d stillborn children and %v", len(c.Stillborn), err)
	}
	for _, pid := range c.Stillborn {
		if err := endsAs(pid, exited(Stillborn)); err != nil {
			return err
		}
	}
	return nil
}

func awakeSysmon() error {
	f, err := withFiles("/proc/self/comm", "")
	if err != nil {
		return err
	}
	return forkEach(f, 1, exited(0), func(int) int { return 0 })
}

// timer returns a descriptor that is readable after d.
func timer(d time.Duration) (int, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	if err != nil {
		return 0, err
	}
	return fd, unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil)
}

// idle waits as an idle zygote does, many times.
func idle() error {
	patience = 0
	f, err := newForker()
	if err != nil {
		return err
	}
	for range 30 {
		fd, err := timer(20 * time.Millisecond)
		if err != nil {
			return err
		}
		if err := f.Wait(fd); err != nil {
			return err
		}
		unix.Close(fd)
		if err := forkEach(f, 2, exited(0), notify); err != nil {
			return err
		}
	}
	if n := f.countThreads(); n > 8 {
		return fmt.Errorf("%d threads after 30 waits", n)
	}
	return nil
}

// call gives P to a new thread between two forks, which is idle then.
func call() error {
	f, err := newForker()
	if err != nil {
		return err
	}
	if err := f.Prove(); err != nil {
		return err
	}
	for range 5 {
		fd, err := timer(20 * time.Millisecond)
		if err != nil {
			return err
		}
		if _, err := syscall.Read(fd, make([]byte, 8)); err != nil {
			return err
		}
		if err := forkEach(f, 2, exited(0), notify); err != nil {
			return err
		}
	}
	return nil
}

// collection makes garbage in the zygote.
func collection() error {
	f, err := newForker()
	if err != nil {
		return err
	}
	var m runtime.MemStats
	for range 40 { // after long waits it looks each time
		sink = make([]byte, 1<<20)
		f.proven = false
		if err := forkEach(f, 1, exited(0), func(int) int { return 0 }); err != nil {
			return err
		}
	}
	if runtime.ReadMemStats(&m); m.HeapSys > 20<<20 {
		return fmt.Errorf("the heap has %d bytes after long waits", m.HeapSys)
	}
	for range 3 * collectForks {
		sink = make([]byte, 100<<10)
		if err := forkEach(f, 1, exited(0), func(int) int { return 0 }); err != nil {
			return err
		}
	}
	if runtime.ReadMemStats(&m); m.HeapSys > 60<<20 {
		return fmt.Errorf("the heap has %d bytes", m.HeapSys)
	}
	return nil
}

// room makes garbage in the zygote, of which no child may notice anything.
func room() error {
	f, err := newForker()
	if err != nil {
		return err
	}
	return forkEach(f, 3*collectForks, exited(0), func(int) int {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if m.HeapAlloc+1<<20 > m.NextGC {
			return 1
		}
		return 0
	}, func() { sink = make([]byte, 6<<10) })
}

// descriptors compares the descriptors of a child with those before the Forker.
func descriptors() error {
	startNetpoller()
	list := func() string {
		names, err := os.ReadDir("/proc/self/fd")
		return fmt.Sprint(names, err)
	}
	before := list()
	f, err := newForker()
	if err != nil {
		return err
	}
	return forkEach(f, 1, exited(0), func(int) int {
		if after := list(); after != before {
			fmt.Println("before", before, "after", after)
			return 1
		}
		return 0
	})
}

func percent() error {
	debug.SetGCPercent(123)
	f, err := newForker()
	if err != nil {
		return err
	}
	return forkEach(f, 1, exited(0), func(int) int {
		if debug.SetGCPercent(100) != 123 {
			return 1
		}
		return 0
	})
}
