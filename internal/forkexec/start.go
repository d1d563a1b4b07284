//go:build amd64 || arm64

package forkexec

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"prefork/internal/forkexec/firstlimit"
)

// ignored are the signals that the new process ignores at first. SIGTERM is not
// among them: between the start of the runtime and signal.Notify it kills in any
// case, and a runtime that has inherited SIG_IGN takes its time to die of it.
const ignored = 1<<(unix.SIGHUP-1) | 1<<(unix.SIGINT-1) | 1<<(unix.SIGQUIT-1) | 1<<(unix.SIGUSR1-1) |
	1<<(unix.SIGUSR2-1) | 1<<(unix.SIGALRM-1) | 1<<(unix.SIGTTIN-1) | 1<<(unix.SIGTTOU-1)

const (
	signals    = 64 // of the kernel
	setMask    = 2  // SIG_SETMASK
	maskSize   = signals / 8
	failedExit = 253
)

// child is what the child needs between clone and exec, where nothing can be
// allocated. Parent and child share their memory in this time.
type child struct {
	path      *byte
	argv, env []*byte
	files     []int // that become descriptor 0, 1, ...
	spare     int   // the first descriptor above all in files
	pidfd     int32
	mask      uint64 // the thread's signal mask before
	limit     *[2]uint64
	errno     syscall.Errno // why there was no exec
	ignore    [4]uintptr    // struct sigaction of the kernel: SIG_IGN
	standard  [4]uintptr    // SIG_DFL
	disposed  [4]uintptr    // what a signal does now
}

// Start starts path in a process group of its own. files become its descriptors
// 0, 1 and so on; all others must be close-on-exec. The caller owns pidfd and
// must wait for pid. It returns once the program has been loaded, or why it
// could not be.
func Start(path string, argv, env []string, files []int) (pid, pidfd int, err error) {
	c := &child{files: make([]int, len(files)), spare: len(files), pidfd: -1, ignore: [4]uintptr{1}}
	if c.path, err = syscall.BytePtrFromString(path); err != nil {
		return 0, -1, err
	}
	if c.argv, err = syscall.SlicePtrFromStrings(argv); err != nil {
		return 0, -1, err
	}
	if c.env, err = syscall.SlicePtrFromStrings(env); err != nil {
		return 0, -1, err
	}
	for i, fd := range files {
		c.files[i] = fd
		c.spare = max(c.spare, fd+1)
	}
	if firstlimit.Files[1] != 0 {
		c.limit = &firstlimit.Files
	}

	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	runtime.LockOSThread() // it has a signal mask of its own
	defer runtime.UnlockOSThread()
	child, errno := c.run()
	if errno != 0 {
		return 0, -1, errno
	}
	if c.errno != 0 {
		for err = unix.EINTR; err == unix.EINTR; {
			_, err = unix.Wait4(int(child), nil, 0, nil)
		}
		if c.pidfd >= 0 {
			_ = unix.Close(int(c.pidfd))
		}
		return 0, -1, c.errno
	}
	return int(child), int(c.pidfd), nil
}

// run clones, with all signals blocked: until exec a handler would run in the
// child, in the memory of both. It calls nothing that may grow the stack, be
// preempted or be seen by the race detector.
//
//go:noinline
//go:norace
//go:nosplit
//go:nocheckptr
func (c *child) run() (pid uintptr, errno syscall.Errno) {
	all := ^uint64(0)
	_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, setMask, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&c.mask)), maskSize, 0, 0)
	pid, errno = c.clone()
	_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, setMask, uintptr(unsafe.Pointer(&c.mask)), 0, maskSize, 0, 0)
	return pid, errno
}

// clone returns in the parent only, once the child has called exec or exit. The
// child goes on in this frame, which the parent needs no more than the two
// results of.
//
//go:noinline
//go:norace
//go:nosplit
//go:nocheckptr
func (c *child) clone() (pid uintptr, errno syscall.Errno) {
	r := vfork(unix.CLONE_VFORK|unix.CLONE_VM|unix.CLONE_PIDFD|uintptr(unix.SIGCHLD), uintptr(unsafe.Pointer(&c.pidfd)))
	if r < 0 {
		return 0, syscall.Errno(-r)
	}
	if r > 0 {
		return uintptr(r), 0
	}
	c.errno = c.exec()
	for {
		_, _, _ = syscall.RawSyscall(unix.SYS_EXIT, failedExit, 0, 0)
	}
}

// exec is the child's part.
//
//go:noinline
//go:norace
//go:nosplit
//go:nocheckptr
func (c *child) exec() (errno syscall.Errno) {
	c.setSignals()
	if _, _, errno = syscall.RawSyscall(unix.SYS_SETPGID, 0, 0, 0); errno != 0 {
		return errno
	}
	if errno = c.setFiles(); errno != 0 {
		return errno
	}
	if c.limit != nil {
		// It was the limit once, so it is allowed; and not worth a failure.
		_, _, _ = syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(c.limit)), 0, 0, 0)
	}
	_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, setMask, uintptr(unsafe.Pointer(&c.mask)), 0, maskSize, 0, 0)
	_, _, errno = syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(c.path)),
		uintptr(unsafe.Pointer(&c.argv[0])), uintptr(unsafe.Pointer(&c.env[0])))
	return errno
}

// setSignals ignores what is to be ignored, and takes the parent's handlers away
// from all others.
//
//go:noinline
//go:norace
//go:nosplit
//go:nocheckptr
func (c *child) setSignals() {
	for s := uintptr(1); s <= signals; s++ {
		action := &c.standard
		if ignored>>(s-1)&1 != 0 {
			action = &c.ignore
		} else {
			_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGACTION, s, 0, uintptr(unsafe.Pointer(&c.disposed)), maskSize, 0, 0)
			if c.disposed[0] <= 1 { // SIG_DFL or SIG_IGN
				continue
			}
		}
		_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGACTION, s, uintptr(unsafe.Pointer(action)), 0, maskSize, 0, 0)
	}
}

// setFiles puts the descriptors into their places. Those that lie in the way of
// others are moved up first.
//
//go:noinline
//go:norace
//go:nosplit
//go:nocheckptr
func (c *child) setFiles() (errno syscall.Errno) {
	for i := 0; i < len(c.files); i++ {
		if c.files[i] >= i {
			continue
		}
		if _, _, errno = syscall.RawSyscall(unix.SYS_DUP3, uintptr(c.files[i]), uintptr(c.spare), unix.O_CLOEXEC); errno != 0 {
			return errno
		}
		c.files[i] = c.spare
		c.spare++
	}
	for i := 0; i < len(c.files); i++ {
		if c.files[i] == i {
			_, _, errno = syscall.RawSyscall(unix.SYS_FCNTL, uintptr(i), unix.F_SETFD, 0)
		} else {
			_, _, errno = syscall.RawSyscall(unix.SYS_DUP3, uintptr(c.files[i]), uintptr(i), 0)
		}
		if errno != 0 {
			return errno
		}
	}
	return 0
}

// vfork is clone(2) with these flags and the parent's stack. It returns twice:
// what the child leaves of the stack is enough for the parent's return from
// vfork and from its caller's frame.
func vfork(flags, pidfd uintptr) int64
