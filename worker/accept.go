package worker

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// accept takes one connection from fd: get_request. The new descriptor is
// non-blocking and close-on-exec; TCP_NODELAY and SO_KEEPALIVE it has from the
// listener. On error errno says why and nothing was opened.
func accept(fd int) (nfd int, p peer, errno unix.Errno) {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	// A system call that the scheduler sees, although it does not wait: should
	// anybody clear O_NONBLOCK on the shared listener, one loop hangs and not
	// the garbage collector too.
	n, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa)),
		uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, peer{}, errno
	}
	return int(n), peerOf(&sa, size), 0
}

// verdict says what an error of accept means.
type verdict uint8

const (
	acceptNothing   verdict = iota // nobody waits, or a sibling was faster
	acceptSkip                     // that one connection failed: accept(2) says to go on
	acceptExhausted                // the process or the machine has run out
	acceptBroken                   // the listener cannot be used any more
)

func judge(errno unix.Errno) verdict {
	switch errno {
	case unix.EAGAIN:
		return acceptNothing
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
		return acceptExhausted
	case unix.EBADF, unix.EINVAL, unix.ENOTSOCK, unix.EOPNOTSUPP, unix.EFAULT:
		return acceptBroken
	}
	return acceptSkip
}
