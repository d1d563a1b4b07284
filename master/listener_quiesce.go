package master

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// synFilter drops TCP segments that open a handshake (SYN without ACK), so that
// handshakes that have begun still complete. A filter on a TCP socket sees the
// segment from its TCP header on; the flags are byte 13.
var synFilter = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0x12},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0x02, Jt: 0, Jf: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
}

// quiesce lets no new connection into the queue, while those in it can still be
// accepted. Without it, a connection that completes between the last accept and
// the close would be reset. A client whose SYN was dropped tries again after a
// second, and finds the port closed or the next server.
func (l *listener) quiesce() error {
	if l.external || l.quiesced {
		return nil
	}
	l.quiesced = true
	if l.network == "unix" {
		l.unlink()
		return nil
	}
	err := l.filterSYN()
	if errors.Is(err, unix.EPERM) { // some kernels require CAP_NET_ADMIN
		err = l.limitHops(maxHops)
	}
	if err != nil {
		return fmt.Errorf("quiesce %s: %w", l.name, err)
	}
	return nil
}

// divert is quiesce for a listener whose address another one of ours covers:
// new connections go to that one at once, without the client's second SYN. The
// kernel looks for a listener on the interface of a SYN, and no interface has
// this number. The queue and handshakes that have begun stay with the listener.
// It cannot be undone without CAP_NET_RAW.
func (l *listener) divert() error {
	if l.quiesced {
		return nil
	}
	if err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, noInterface); err != nil {
		return l.quiesce() // Linux before 5.1
	}
	l.quiesced, l.diverted = true, true
	return nil
}

const noInterface = 1<<31 - 1

func (l *listener) filterSYN() error {
	prog := unix.SockFprog{Len: uint16(len(synFilter)), Filter: &synFilter[0]}
	return unix.SetsockoptSockFprog(l.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog)
}

// maxHops is a hop limit with which no client's segment arrives: systems send
// with 64 or 128. Segments from routers that send with 255 are accepted as
// before.
const maxHops = 255

// limitHops does the same as filterSYN without any privilege: the kernel drops
// segments with fewer hops left (IP_MINTTL in ip(7), IPV6_MINHOPCOUNT). It
// checks SYNs against the listener, but not the ACK of a handshake that has
// begun. A connection that such an ACK completes inherits the limit, and its
// worker removes it; until then the client's kernel sends again.
func (l *listener) limitHops(hops int) error {
	if err := unix.SetsockoptInt(l.fd, unix.IPPROTO_IP, unix.IP_MINTTL, hops); err != nil {
		return err
	}
	family, err := unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || family != unix.AF_INET6 {
		return err
	}
	return unix.SetsockoptInt(l.fd, unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, hops)
}

// reopen undoes quiesce on a TCP listener, for a reload that brings it back or
// after an earlier master stored it.
func (l *listener) reopen() error {
	if !l.quiesced || l.network != "tcp" {
		return nil
	}
	err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	if errors.Is(err, unix.ENOENT) { // no filter
		err = nil
	}
	if err := errors.Join(err, l.limitHops(0)); err != nil {
		return fmt.Errorf("reopen %s: %w", l.name, err)
	}
	l.quiesced = false
	return nil
}

// filterLength returns the number of instructions in a socket's filter.
func filterLength(fd int) (int, error) {
	var n uint32
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_GET_FILTER,
		0, uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
