package worker

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Listener is a listening socket for HandleRequest and ServeAlone. FD stays the caller's and
// must be non-blocking.
type Listener struct {
	Name string
	FD   int
}

// listenerInfo is what a connection knows of where it came from. It never changes.
type listenerInfo struct {
	name     string
	network  string // "tcp" or "unix"
	addr     net.Addr
	wildcard bool // bound to a wildcard: connections differ in their local address
}

// listener is one socket that the loop accepts from. The loop owns it.
type listener struct {
	info     *listenerInfo
	fd       int
	borrowed bool // the descriptor is not ours to close

	watched      bool  // in the poller
	own          bool  // only this generation serves it; meaningful while held or draining
	queueEmpty   bool  // after the drain's grace accept said that nothing waits
	closed       bool  // or broken: not to be touched again
	notListening bool  // accept says that it does not listen
	retryAt      int64 // no accept before, if it is shut
}

// openListener looks at fd, which the listener then owns unless it is lent. On
// error fd is left open.
func openListener(name string, fd int, lent bool) (*listener, error) {
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return nil, fmt.Errorf("listener %q: inspect descriptor %d: %w", name, fd, err)
	}
	if listening == 0 && lent { // a master's listens when its workers are ready
		return nil, fmt.Errorf("listener %q: descriptor %d does not listen", name, fd)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, fmt.Errorf("listener %q: read flags: %w", name, err)
	}
	if flags&unix.O_NONBLOCK == 0 {
		// The flag belongs to the description that all workers share, and one
		// that is cleared makes them hang in accept: set it for all again. But
		// a lent descriptor is used by others in ways that we do not know.
		if lent {
			return nil, fmt.Errorf("listener %q: descriptor %d is blocking", name, fd)
		}
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, fmt.Errorf("listener %q: make non-blocking: %w", name, err)
		}
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return nil, fmt.Errorf("listener %q: read address: %w", name, err)
	}
	if !lent {
		unix.CloseOnExec(fd)
	}
	s := &listenerInfo{name: name, network: "tcp"}
	switch a := bound.(type) {
	case *unix.SockaddrInet4:
		s.wildcard = a.Addr == [4]byte{}
	case *unix.SockaddrInet6:
		s.wildcard = a.Addr == [16]byte{}
	case *unix.SockaddrUnix:
		s.network = "unix"
	default:
		return nil, fmt.Errorf("listener %q: %w", name, errNotStream)
	}
	s.addr = netAddr(bound)
	return &listener{info: s, fd: fd, borrowed: lent}, nil
}

var errNotStream = errors.New("neither TCP nor a unix stream socket")

// close gives the descriptor back. It must not be in the poller any more.
func (ln *listener) close() {
	if !ln.closed && !ln.borrowed {
		_ = unix.Close(ln.fd)
	}
	ln.closed = true
}

// defaultMaxThreads are those that a process may have by default, see
// debug.SetMaxThreads.
const defaultMaxThreads = 10_000

// takesDescriptors says whether clients can send descriptors, because a listener
// is a Unix socket and its kernel, before Linux 6.16, cannot refuse them. Each of
// their connections can then hold a thread in read or close for minutes, and the
// runtime ends a process that has more threads than it is allowed.
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
