package master

import (
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// listener is one listening socket that the master holds. It is bound on the
// loader's goroutine and belongs to the owner loop afterwards.
type listener struct {
	key      string // distinguishes it in a generation and across reloads
	name     string // as configured
	network  string // "tcp" or "unix"
	address  string // as bound
	fd       int
	external bool // passed by the service manager, which keeps it open
	quiesced bool

	path     string // of a unix socket's file; "" if there is none to remove
	dev, ino uint64 // of that file as bound: another's is not removed
}

func (l *listener) wire() ipc.Listener {
	return ipc.Listener{Name: l.key, Network: l.network, Address: l.address}
}

// close closes the socket and removes its file. Workers that hold copies keep
// the socket open until they close theirs.
func (l *listener) close() {
	if l.external {
		return // a later reload may name it again
	}
	l.unlink()
	if l.network != "unix" {
		_ = unix.Close(l.fd)
		return
	}
	// With it go the connections in its queue and the descriptors that their
	// clients have sent, where the kernel cannot refuse them.
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = unix.Close(l.fd)
	}()
	sleep(closeTime, closed)
}

// closeTime is how long the owner loop waits for a close that a client can
// delay, so that usually the address is free again at the next step.
const closeTime = 10 * time.Millisecond

// unlink removes a unix socket's file if it is still the one that was bound.
func (l *listener) unlink() {
	if l.path == "" {
		return
	}
	var st unix.Stat_t
	if unix.Lstat(l.path, &st) == nil && st.Dev == l.dev && st.Ino == l.ino {
		_ = unix.Unlink(l.path)
	}
	l.path = ""
}

// reusable says whether a reload may keep the listener: not if nobody can reach
// it any more, because its file was removed or replaced.
func (l *listener) reusable() bool {
	switch {
	case l.quiesced:
		return l.network == "tcp"
	case l.path == "":
		return true
	}
	var st unix.Stat_t
	return unix.Lstat(l.path, &st) == nil && st.Dev == l.dev && st.Ino == l.ino
}

// queued returns how many connections wait to be accepted, or -1 if the
// kernel does not say (it does for TCP alone).
func (l *listener) queued() int {
	if l.network != "tcp" {
		return -1
	}
	info, err := unix.GetsockoptTCPInfo(l.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return -1
	}
	return int(info.Unacked) // for a listening socket: the length of its accept queue
}
