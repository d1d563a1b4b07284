package master

import (
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// listener is a listening socket of the master. It is bound on the loader's
// goroutine, and then belongs to the owner loop.
type listener struct {
	name       string // as the serving generation writes it
	loggedName string // the name in the last log line "listening"
	network    string // "tcp" or "unix"
	address    string // as bound
	fd         int
	external   bool // passed by the service manager, which keeps it open
	stored     bool // in the service manager's store, which keeps it open after us

	bound, requested endpoint // of TCP: where it is bound, and what was requested (port 0 for any)

	listening bool
	quiesced  bool
	diverted  bool // quiesced so that another listener gets the handshakes
	backlog   int  // listen(2)'s argument
	expected  listenerState

	graceUntil time.Time // if quiesced: until when the queue may still grow

	path     string // of a Unix socket's file; "" if there is none to remove
	dev, ino uint64 // of that file when it was bound
}

// matches reports whether l is the socket that w asks for.
func (l *listener) matches(w socketSpec) bool {
	if l.network == "tcp" {
		return w.Path == "" && (l.bound == w.at || l.requested == w.at)
	}
	if w.Path == "" || w.Path[0] == '@' {
		return l.address == w.Path
	}
	return l.path != "" && l.isFile(w.Path)
}

// addr is where clients connect.
func (l *listener) addr() net.Addr {
	if l.network == "unix" {
		return &net.UnixAddr{Net: "unix", Name: l.address}
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(l.bound.ip, uint16(l.bound.port)))
}

// hasFile reports whether the socket's file still exists and is the one that was
// bound.
func (l *listener) hasFile() bool { return l.isFile(l.path) }

func (l *listener) isFile(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && st.Dev == l.dev && st.Ino == l.ino
}

// storeKey names the listener in the service manager's store. It is unique
// among open listeners.
func (l *listener) storeKey() string {
	switch {
	case l.network == "unix":
		return "unix://" + l.address
	case l.requested.ip.IsValid() && l.requested.port == 0:
		return l.requested.String() // a master of the next start asks for the same
	}
	return l.bound.String()
}

// listen lets clients connect. rivals are our listeners on the same port.
func (l *listener) listen(backlog int, rivals []*listener) error {
	if l.listening {
		return nil
	}
	if err := sharePort(l.fd, rivals, func() error { return unix.Listen(l.fd, backlog) }); err != nil {
		return err
	}
	l.listening, l.backlog = true, backlog
	l.recordState()
	return nil
}

// close closes the socket and removes its file. The shutdown ends the socket
// for processes that have a copy of the descriptor, such as children of
// workers. What the service manager stores goes on.
func (l *listener) close() {
	if l.external {
		return // a later reload may name it again
	}
	l.unlink()
	if !l.stored {
		_ = unix.Shutdown(l.fd, unix.SHUT_RDWR)
	}
	if l.network != "unix" {
		_ = unix.Close(l.fd)
		return
	}
	// With it go the connections in its queue and the descriptors that their
	// clients have sent, where the kernel cannot refuse them.
	briefly(func() { _ = unix.Close(l.fd) })
}

// shortWait is how long the owner loop waits for a file system, or for a close
// that a client can delay. Usually both are immediate, and the address is free
// in the next step.
const shortWait = 50 * time.Millisecond

// briefly runs f on its own goroutine and waits at most a shortWait for it.
func briefly(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	sleep(shortWait, done)
}

// unlink removes a Unix socket's file if it is the one that was bound.
func (l *listener) unlink() {
	if l.path == "" {
		return
	}
	file := *l
	briefly(func() {
		if file.hasFile() {
			_ = unix.Unlink(file.path)
		}
	})
	l.path = ""
}

// reusable reports whether a reload may keep the listener.
func (l *listener) reusable() bool {
	return l.expected.broken == "" && !l.diverted && (!l.quiesced || l.network == "tcp")
}

// queued returns the number of connections that wait to be accepted, or -1 if
// the kernel does not say. It says so for TCP only.
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

// closeListeners closes what is still open when the master ends.
func (m *Master) closeListeners() {
	for l := range m.sockets() {
		m.closeListener(l)
	}
}

// closeListener closes a listener. It logs connections that were waiting: they
// are lost.
func (m *Master) closeListener(l *listener) {
	if n := l.queued(); n > 0 && !l.external {
		m.log.Warn("connections abandoned", zap.String("listener", l.name), zap.Int("connections", n))
	}
	l.close()
}

// DefaultBacklog is that of listen(2); the kernel caps it at net.core.somaxconn.
const DefaultBacklog = 4096

func orDefault(n int) int {
	if n <= 0 {
		return DefaultBacklog
	}
	return n
}
