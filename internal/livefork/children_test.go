package livefork

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// timers has timers that are pending at each fork, and due in some children.
func timers() error {
	var fired atomic.Int32
	for i := range 100 {
		time.AfterFunc(time.Duration(i)*10*time.Millisecond, func() { fired.Add(1) })
	}
	f, err := newForker()
	if err != nil {
		return err
	}
	return forkEach(f, 2000, exited(0), func(i int) int {
		time.Sleep(time.Microsecond)
		if i%50 == 0 {
			for fired.Load() < 100 { // those that are left fire in the child
				time.Sleep(time.Millisecond)
			}
		}
		return 0
	})
}

// runProgram starts this program again, with no role and nothing to do.
func runProgram(int) int {
	cmd := exec.Command("/proc/self/exe", "-test.list=^$")
	cmd.Env = []string{}
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Println(err, string(out))
		return 1
	}
	return 0
}

// unlocked is a fatal error, which cannot be recovered from. (That maps are written to
// concurrently is such an error too, but one P without preemption does not do it.)
func unlocked(int) int {
	defer func() { _ = recover() }()
	var m sync.Mutex
	m.Unlock()
	return 0
}

func overflow(int) int {
	debug.SetMaxStack(1 << 20)
	return deeper(0)
}

func deeper(i int) int {
	if i < 0 {
		return 0
	}
	return deeper(i+1) + 1
}

func allStacks(int) int {
	go func() { select {} }()
	runtime.Gosched()
	if n := runtime.Stack(make([]byte, 1<<16), true); n == 0 {
		return 1
	}
	return 0
}

func crashOutput(int) int {
	file, err := os.CreateTemp("", "crash")
	if err != nil {
		return 1
	}
	_ = os.Remove(file.Name())
	if err := debug.SetCrashOutput(file, debug.CrashOptions{}); err != nil {
		return 1
	}
	panic("a test")
}

// kill sends a signal to this process and waits for its end.
func kill(s unix.Signal) int {
	go func() { _ = unix.Kill(os.Getpid(), s) }()
	select {}
}

func lockedThreads(int) int {
	var all sync.WaitGroup
	c := make(chan int)
	for range 4 {
		all.Go(func() {
			runtime.LockOSThread()
			<-c
		})
	}
	close(c)
	all.Wait()
	return 0
}

// notify uses package os/signal. Its goroutine blocks in the runtime, which gives P to
// an idle thread or a new one: a child that believes in one that it lacks hangs here.
func notify(int) int {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGUSR1)
	if err := unix.Kill(os.Getpid(), unix.SIGUSR1); err != nil {
		return 1
	}
	<-c
	return 0
}

// busy has goroutines that give P away by themselves, beside one that waits for a timer.
func busy(int) int {
	var stop atomic.Bool
	for range 3 {
		go func() {
			for !stop.Load() {
				runtime.Gosched()
			}
		}()
	}
	time.Sleep(5 * time.Millisecond)
	stop.Store(true)
	return 0
}
