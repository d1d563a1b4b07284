package livefork

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"runtime/trace"
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

// profile uses what looks at all threads of the runtime, also at those that the child
// lacks.
func profile(int) int {
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		return 1
	}
	collect()
	pprof.StopCPUProfile()
	if err := trace.Start(io.Discard); err != nil {
		return 2
	}
	if !meet() {
		return 3
	}
	trace.Stop()
	if err := pprof.Lookup("threadcreate").WriteTo(io.Discard, 0); err != nil {
		return 4
	}
	debug.FreeOSMemory()
	return 0
}

// random compares what crypto/rand gives to siblings.
func random() error {
	before := make([]byte, 16) // so that the parent's generator has a state
	if _, err := rand.Read(before); err != nil {
		return err
	}
	r, w, err := rawPipe()
	if err != nil {
		return err
	}
	f, err := newForker()
	if err != nil {
		return err
	}
	const n = 100
	err = forkEach(f, n, exited(0), func(int) int {
		b := make([]byte, 16)
		if _, err := rand.Read(b); err != nil {
			return 1
		}
		if n, err := unix.Write(w, b); err != nil || n != len(b) {
			return 2
		}
		return 0
	})
	if err != nil {
		return err
	}
	seen := map[[16]byte]bool{[16]byte(before): true}
	for range n {
		var b [16]byte
		if _, err := unix.Read(r, b[:]); err != nil {
			return err
		}
		seen[b] = true
	}
	if len(seen) != n+1 {
		return fmt.Errorf("%d different values of %d", len(seen), n+1)
	}
	return nil
}

func rawPipe() (r, w int, err error) {
	var p [2]int
	err = unix.Pipe2(p[:], unix.O_CLOEXEC)
	return p[0], p[1], err
}
