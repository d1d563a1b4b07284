package livefork

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The functions of this file keep P: the scheduler does not know of these calls.

// rawRead reads a file of /proc from its beginning. It returns 0 if it cannot.
//
//go:nosplit
func rawRead(fd int, buf *[procSize]byte) int {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(buf)), procSize, 0, 0, 0)
		if errno == 0 {
			return int(n)
		}
		if errno != unix.EINTR {
			return 0
		}
	}
}

// procSize is more than the files have: a line of numbers, or three short lines.
const procSize = 512

// nap sleeps, or less if a signal arrives.
func nap(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_, _, _ = syscall.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}

//go:nosplit
func futexWait(word *uint32, value uint32, timeout *unix.Timespec) {
	_, _, _ = syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), 0, uintptr(value),
		uintptr(unsafe.Pointer(timeout)), 0, 0)
}

//go:nosplit
func futexWake(word *uint32) {
	_, _, _ = syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), 1, 1<<30, 0, 0, 0)
}

func rawClose(fd uintptr) { _, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, fd, 0, 0) }

//go:nosplit
func exit(code int) {
	for {
		_, _, _ = syscall.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(code), 0, 0)
	}
}

func rawFstat(fd int, st *unix.Stat_t) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(st)), 0)
	return errno
}

// rawClock returns the monotonic time in nanoseconds.
//
//go:nosplit
func rawClock() int64 {
	var t [2]int // struct timespec: seconds and nanoseconds, each a long of C
	_, _, _ = syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&t)), 0)
	return int64(t[0])*1e9 + int64(t[1])
}
