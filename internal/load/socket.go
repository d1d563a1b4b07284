package load

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls here are raw: none of them blocks, so Go's scheduler need not
// know of them. To tell it costs as much as the call.

// send writes to a socket; errno is EAGAIN if nothing fits.
func send(fd int32, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
		uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// receive reads from a socket; 0 bytes without an errno are its end.
func receive(fd int32, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// open makes a socket for connections to the address. where says which call
// failed.
func open(to *sockaddr, from *sockaddr) (fd int32, errno unix.Errno, where string) {
	n, _, errno := unix.RawSyscall(unix.SYS_SOCKET, uintptr(to.family),
		unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return -1, errno, "socket"
	}
	fd = int32(n)
	if to.family == unix.AF_UNIX {
		return fd, 0, ""
	}
	_ = setOption(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY) // without it, sends are only delayed
	if from != nil {
		// The port is chosen by connect, which knows the other end: a port can
		// serve one connection to each.
		_ = setOption(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT)
		_, _, errno = unix.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&from.raw)), from.size)
		if errno != 0 {
			shut(fd)
			return -1, errno, "bind"
		}
	}
	return fd, 0, ""
}

// connect begins to connect; errno is EINPROGRESS if that goes on.
func connect(fd int32, to *sockaddr) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&to.raw)), to.size)
	return errno
}

func setOption(fd int32, level, option uintptr) unix.Errno {
	one := int32(1)
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), level, option, uintptr(unsafe.Pointer(&one)), 4, 0)
	return errno
}

// pending returns the error of a connect that has ended.
func pending(fd int32) unix.Errno {
	v, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return unix.EBADF
	}
	return unix.Errno(v)
}

func shut(fd int32) { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// hotWait is how long a loop waits without telling the scheduler. The garbage
// collector may have to wait for it, so it is short.
const hotWait = int64(2e6)

// poll is an epoll set. One loop owns it.
type poll struct {
	fd     int
	unseen bool // the scheduler has enough processors without this one
	hot    bool // the last wait brought something
	coarse bool // the kernel has no epoll_pwait2 (before 5.11)
	events [256]unix.EpollEvent
}

func newPoll(unseen bool) (*poll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	return &poll{fd: fd, unseen: unseen, hot: true}, nil
}

// control adds or changes a descriptor of the i-th connection.
func (e *poll) control(op uintptr, fd int32, events uint32, i int, age int32) unix.Errno {
	event := unix.EpollEvent{Events: events, Fd: int32(i), Pad: age}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(e.fd), op, uintptr(fd), uintptr(unsafe.Pointer(&event)), 0, 0)
	return errno
}

// wait waits for events for so many nanoseconds at most.
func (e *poll) wait(ns int64) []unix.EpollEvent {
	ns = max(ns, 0)
	n := 0
	if e.unseen && (e.hot || ns <= hotWait) {
		n = e.look(min(ns, hotWait), false)
		ns -= hotWait
	} else if ns > 0 {
		n = e.look(0, false)
	}
	if n == 0 && ns > 0 {
		n = e.look(ns, true)
	} else if n == 0 && !e.unseen {
		n = e.look(0, false)
	}
	e.hot = n > 0
	return e.events[:n]
}

// look is epoll_wait. With seen, the Go scheduler knows that the thread blocks.
func (e *poll) look(ns int64, seen bool) int {
	trap, last := uintptr(unix.SYS_EPOLL_PWAIT2), uintptr(0)
	ts := unix.NsecToTimespec(ns)
	timeout := uintptr(unsafe.Pointer(&ts))
	if e.coarse {
		trap, timeout = unix.SYS_EPOLL_PWAIT, uintptr(ns/1e6)
	}
	var n uintptr
	var errno unix.Errno
	set, events, size := uintptr(e.fd), uintptr(unsafe.Pointer(&e.events[0])), uintptr(len(e.events))
	if seen {
		n, _, errno = unix.Syscall6(trap, set, events, size, timeout, last, 0)
	} else {
		n, _, errno = unix.RawSyscall6(trap, set, events, size, timeout, last, 0)
	}
	if errno == unix.ENOSYS {
		e.coarse = true
	}
	if errno != 0 {
		return 0 // a signal, such as the one with which Go's scheduler preempts
	}
	return int(n)
}

func (e *poll) close() { _ = unix.Close(e.fd) }
