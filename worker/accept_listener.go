package worker

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listener is a listening socket for HandleRequest and ServeAlone. FD stays the
// caller's and must be non-blocking.
type Listener struct {
	Name string
	FD   int
}

// listenerInfo is what connections know of their listener. It never changes.
type listenerInfo struct {
	name     string
	network  string // "tcp" or "unix"
	addr     net.Addr
	wildcard bool // bound to all addresses: connections have different local ones
}

// listener is one socket that the loop accepts from. The loop owns it.
type listener struct {
	info     *listenerInfo
	fd       int
	borrowed bool // the descriptor is the caller's to close

	watched      bool  // in the poller
	taken        int   // connections accepted since it was put there
	turnBegan    int64 // when the first of them was accepted
	own          bool  // no other generation serves it; valid while held or draining
	queueEmpty   bool  // in a drain: nothing waits any more
	closed       bool  // or broken
	notListening bool  // somebody has shut it down
	retryAt      int64 // no accept before then, if notListening
}

// openListener checks fd, which the listener then owns unless it is borrowed. On
// error fd stays open.
func openListener(name string, fd int, borrowed bool) (*listener, error) {
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return nil, fmt.Errorf("listener %q: inspect descriptor %d: %w", name, fd, err)
	}
	if listening == 0 && borrowed { // a master's listens when its workers are ready
		return nil, fmt.Errorf("listener %q: descriptor %d does not listen", name, fd)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, fmt.Errorf("listener %q: read flags: %w", name, err)
	}
	if flags&unix.O_NONBLOCK == 0 {
		// All workers share the flag, and would block in accept without it. A
		// borrowed descriptor may have other users, so it is not changed.
		if borrowed {
			return nil, fmt.Errorf("listener %q: descriptor %d is blocking", name, fd)
		}
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, fmt.Errorf("listener %q: make non-blocking: %w", name, err)
		}
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		return nil, fmt.Errorf("listener %q: read address: %w", name, err)
	}
	if !borrowed {
		unix.CloseOnExec(fd)
	}
	s := &listenerInfo{name: name, network: "tcp"}
	switch a := bound.(type) {
	case *syscall.SockaddrInet4:
		s.wildcard = a.Addr == [4]byte{}
	case *syscall.SockaddrInet6:
		s.wildcard = a.Addr == [16]byte{}
	case *syscall.SockaddrUnix:
		s.network = "unix"
	default:
		return nil, fmt.Errorf("listener %q: %w", name, errNotStream)
	}
	s.addr = netAddr(bound)
	return &listener{info: s, fd: fd, borrowed: borrowed}, nil
}

// openListeners opens all of ls. On error it returns those that it has opened.
func openListeners(ls []Listener, borrowed bool) ([]*listener, error) {
	if len(ls) == 0 {
		return nil, configuration(errors.New("no listener to serve from"))
	}
	listeners := make([]*listener, 0, len(ls))
	for _, l := range ls {
		ln, err := openListener(l.Name, l.FD, borrowed)
		if err != nil {
			return listeners, failure(err)
		}
		listeners = append(listeners, ln)
	}
	return listeners, nil
}

func closeListeners(listeners []*listener) {
	for _, ln := range listeners {
		ln.close()
	}
}

var errNotStream = errors.New("neither TCP nor a unix stream socket")

// close closes the descriptor, which must not be in the poller.
func (ln *listener) close() {
	if !ln.closed && !ln.borrowed {
		_ = unix.Close(ln.fd)
	}
	ln.closed = true
}

// defaultMaxThreads is the runtime's default, see debug.SetMaxThreads.
const defaultMaxThreads = 10_000

// takesDescriptors says whether clients can send descriptors: to a Unix socket of a
// kernel before Linux 6.16, which cannot refuse them. To close one may block a thread
// for minutes, and the runtime ends a process that has too many threads.
func takesDescriptors(listeners []*listener) bool {
	for _, ln := range listeners {
		if ln.info.network != "unix" {
			continue
		}
		on, err := unix.GetsockoptInt(ln.fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS)
		if err != nil || on != 0 {
			return true
		}
	}
	return false
}
