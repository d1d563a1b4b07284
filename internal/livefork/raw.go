package livefork

import (
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The functions of this file keep P: the scheduler does not know of these calls. An
// ordinary one may lose P if the machine is so crowded that the thread has to wait for a
// processor in the middle of it; then there is one thread more to park.

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

// rawOpen opens a file to read.
func rawOpen(path string, flags int) (int, error) {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return -1, err
	}
	for {
		fd, _, errno := syscall.RawSyscall6(unix.SYS_OPENAT, uintptr(atCwd), uintptr(unsafe.Pointer(name)),
			uintptr(flags|unix.O_RDONLY|unix.O_CLOEXEC), 0, 0, 0)
		if errno == 0 {
			return int(fd), nil
		}
		if errno != unix.EINTR {
			return -1, errno
		}
	}
}

var atCwd = unix.AT_FDCWD // a variable, since it is negative

// rawReadlink returns the empty string if it cannot read the link.
func rawReadlink(path string) string {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return ""
	}
	var buf [128]byte
	n, _, errno := syscall.RawSyscall6(unix.SYS_READLINKAT, uintptr(atCwd), uintptr(unsafe.Pointer(name)),
		uintptr(unsafe.Pointer(&buf)), uintptr(len(buf)), 0, 0)
	if errno != 0 {
		return ""
	}
	return string(buf[:n])
}

// rawEntries lists the entries of an open directory whose names are numbers.
func rawEntries(dir int) ([]int, error) {
	if _, _, errno := syscall.RawSyscall(unix.SYS_LSEEK, uintptr(dir), 0, 0); errno != 0 {
		return nil, errno
	}
	var all []int
	var buf [4096]byte
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_GETDENTS64, uintptr(dir), uintptr(unsafe.Pointer(&buf)), uintptr(len(buf)))
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return nil, errno
		case n == 0:
			return all, nil
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if number, err := strconv.Atoi(name); err == nil {
				all = append(all, number)
			}
		}
	}
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
