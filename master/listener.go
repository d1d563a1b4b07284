package master

import (
	"fmt"

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
	_ = unix.Close(l.fd)
}

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

// synFilter drops a TCP segment that opens a handshake (SYN without ACK) and
// lets everything else pass, so that handshakes that have begun still end. A
// filter on a TCP socket sees the segment from its TCP header on; the flags
// are byte 13.
var synFilter = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0x12},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0x02, Jt: 0, Jf: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
}

// quiesce stops new connections from entering the queue while those in it can
// still be accepted: without it, a connection whose handshake completed
// between the last accept and the close would be reset. A client whose SYN was
// dropped tries again a second later and finds the port closed, or a
// successor.
func (l *listener) quiesce() error {
	if l.external || l.quiesced {
		return nil
	}
	l.quiesced = true
	if l.network == "unix" {
		l.unlink()
		return nil
	}
	prog := unix.SockFprog{Len: uint16(len(synFilter)), Filter: &synFilter[0]}
	if err := unix.SetsockoptSockFprog(l.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		return fmt.Errorf("quiesce %s: %w", l.name, err)
	}
	return nil
}

// reopen undoes quiesce on a TCP listener that a reload brings back.
func (l *listener) reopen() error {
	if !l.quiesced {
		return nil
	}
	if err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); err != nil {
		return fmt.Errorf("reopen %s: %w", l.name, err)
	}
	l.quiesced = false
	return nil
}

// reusable says whether a reload may keep the listener.
func (l *listener) reusable() bool { return !l.quiesced || l.network == "tcp" }

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
