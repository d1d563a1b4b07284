package livefork

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// Stillborn is the exit status of a child that was copied while sysmon ran. It has
// done nothing else.
const Stillborn = 80

// forked says that this process is a child.
var forked bool

// Forker forks this process. There may be one in a process. Its methods must be called
// by one goroutine.
type Forker struct {
	pid     int
	percent int      // of the garbage collector, as main had it
	flags   uintptr  // of clone(2)
	park    [2]int   // the parking pipe
	words   []uint32 // the verdicts, shared with the children
	clones  uint32   // calls of clone
	forks   int      // calls of Fork
	live    uint64   // bytes of the heap after the last collection
	taskDir int      // /proc/self/task
	poller  netpoller

	proven              bool
	goroutines, threads int // when the state was proven
	sysmon              int // thread
	callFile, statFile  int // /proc/self/task/SYSMON/syscall and schedstat

	rest      [procSize]byte // sysmon's counters when it was seen asleep
	restN     int            // their length; 0 if it was not
	text, now [procSize]byte
}

// Child is the result of a fork.
type Child struct {
	PID       int   // 0 in the child
	Stillborn []int // children that exit by themselves with that status
}

// New prepares this process for forks: it collects garbage, and turns collection off,
// since the memory that it touches is copied in each child. A child gets the
// percentage back that was set before. The error may be a *Condition.
func New() (*Forker, error) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		return nil, condition(Platform, "forking is not supported on %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	if forked {
		return nil, condition(Forked, "a forked worker cannot fork")
	}
	f := &Forker{pid: os.Getpid(), flags: unix.CLONE_PARENT | uintptr(unix.SIGCHLD)}
	f.poller.info = -1
	memory, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("map shared memory: %w", err)
	}
	f.words = wordsOf(memory)
	if err := unix.Pipe2(f.park[:], unix.O_CLOEXEC); err != nil {
		_ = unix.Munmap(memory)
		return nil, fmt.Errorf("create parking pipe: %w", err)
	}
	f.taskDir, err = unix.Open("/proc/self/task", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		_, _, _ = unix.Munmap(memory), unix.Close(f.park[0]), unix.Close(f.park[1])
		return nil, condition(Platform, "open /proc/self/task: %v", err)
	}
	if runtime.GOMAXPROCS(0) == 1 {
		runtime.GOMAXPROCS(1) // sysmon does not change a value that was set
	}
	startNetpoller()
	f.percent = debug.SetGCPercent(-1)
	runtime.GC()
	f.live = heapSize()
	warm()
	return f, nil
}

const (
	forkTime     = 800 * time.Millisecond // for one child
	minAttempts  = 20                     // even if the process does not run in this time
	maxStillborn = 100                    // for one child
)

// Fork makes a child. In the child it returns the zero Child, when the child may do
// everything; descriptors that the Forker had are closed there. In the parent an error
// is a *Condition or names the system call; the stillborn children are returned with
// an error too. It takes less than a millisecond. On a crowded machine it takes up to a second,
// or two if the conditions have to be proven again.
func (f *Forker) Fork() (Child, error) {
	var c Child
	f.collect()
	end := time.Now().Add(forkTime)
	for attempt := 0; attempt < minAttempts || time.Now().Before(end); attempt++ {
		if !f.proven || f.changed() {
			if err := f.Prove(); err != nil {
				return c, err
			}
		}
		f.clones++
		verdict := &f.words[f.clones%uint32(len(f.words))]
		pid, outcome, errno := f.clone(verdict, f.clones<<2)
		switch outcome {
		case failed:
			return c, fmt.Errorf("clone: %w", errno)
		case awake:
			nap(100 * time.Microsecond)
		case stillborn:
			c.Stillborn = append(c.Stillborn, pid)
			if len(c.Stillborn) == maxStillborn {
				return c, condition(Sysmon, "the runtime's thread sysmon ran in each of %d forks", maxStillborn)
			}
			f.settle()
		case born:
			c.PID = pid
			return c, nil
		case child:
			f.becomeChild()
			return Child{}, nil
		}
	}
	return c, condition(Sysmon, "the runtime's thread sysmon does not sleep")
}

const (
	collectForks = 256       // between two looks at the heap
	garbage      = 256 << 10 // bytes that may gather, beside an eighth of the heap
)

// collect collects garbage when much has gathered, since the collector does not start
// by itself. A proof makes more garbage than hundreds of forks.
func (f *Forker) collect() {
	f.forks++
	if f.proven && f.forks%collectForks != 0 {
		return
	}
	if heapSize() > f.live+f.live/8+garbage {
		runtime.GC()
		f.live = heapSize()
	}
	warm()
}

// heapSize returns the bytes on the heap. It takes the free places from P.
func heapSize() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// becomeChild makes a process of its own of a child.
func (f *Forker) becomeChild() {
	forked = true
	f.proven = false
	for _, fd := range [...]int{f.callFile, f.statFile, f.poller.info, f.taskDir, f.park[0], f.park[1]} {
		rawClose(uintptr(fd)) // those that the child does not have are -1 or closed
	}
	if err := f.poller.renew(); err != nil {
		fmt.Fprintf(os.Stderr, "a forked worker cannot make its network poller: %v\n", err)
		exit(Stillborn)
	}
	if f.percent >= 0 {
		debug.SetGCPercent(f.percent)
	}
}
