package master

import (
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// A client whose SYN was answered before the quiesce is connected from its own
// point of view, and may have sent its request, up to a round trip before its
// ACK arrives. Until then the kernel has a half-open connection, which ends with
// the listener.
const (
	// quiesceGrace is for how long workers accept at least, after a quiesce.
	quiesceGrace = 100 * time.Millisecond

	// handshakeGrace is the same if there are half-open connections, or if that
	// is unknown. It covers a round trip of a second, and a SYN-ACK that was lost:
	// the kernel repeats it after a second.
	handshakeGrace = 2 * time.Second
)

// awaitHandshakes sets for how long workers accept from listeners that were
// just quiesced.
func awaitHandshakes(quiesced []*listener) {
	grace := quiesceGrace
	ports := map[uint16]bool{}
	ipv6 := false
	for _, l := range quiesced {
		if l.network == "tcp" {
			ports[uint16(l.bound.port)] = true
			ipv6 = ipv6 || l.bound.ip.Is6()
		}
	}
	if len(ports) > 0 {
		found, err := halfOpen(unix.AF_INET, ports)
		if ipv6 && !found && err == nil {
			found, err = halfOpen(unix.AF_INET6, ports)
		}
		if found || err != nil {
			grace = handshakeGrace
		}
	}
	for _, l := range quiesced {
		l.graceUntil = time.Now().Add(grace)
	}
}

// The request of sock_diag(7): struct nlmsghdr and struct inet_diag_req_v2 of
// linux/inet_diag.h. What follows in it is zero: any address.
const (
	diagRequestSize = 16 + 56
	sockDiagFamily  = 20 // SOCK_DIAG_BY_FAMILY
	stateSynRecv    = 3  // TCP_SYN_RECV
)

// halfOpen reports whether a TCP handshake with one of the local ports has begun
// and not ended, in this network namespace. The kernel searches its whole table
// of connections, which takes milliseconds.
func halfOpen(family byte, ports map[uint16]bool) (bool, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return false, fmt.Errorf("ask for handshakes: %w", err)
	}
	defer unix.Close(fd)
	native := binary.NativeEndian
	request := make([]byte, diagRequestSize)
	native.PutUint32(request[0:], diagRequestSize)
	native.PutUint16(request[4:], sockDiagFamily)
	native.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	request[16], request[17] = family, unix.IPPROTO_TCP
	native.PutUint32(request[20:], 1<<stateSynRecv)
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return false, fmt.Errorf("ask for handshakes: %w", err)
	}
	answer := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(fd, answer, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("read handshakes: %w", err)
		}
		if found, done, err := diagnose(answer[:n], ports); found || done || err != nil {
			return found, err
		}
	}
}

// diagnose reads one datagram of the kernel's answer: messages with a struct
// inet_diag_msg each, in which the local port follows after four bytes.
func diagnose(p []byte, ports map[uint16]bool) (found, done bool, err error) {
	native := binary.NativeEndian
	for len(p) >= 16 {
		size := int(native.Uint32(p))
		if size < 16 || size > len(p) {
			break
		}
		body := p[16:size]
		switch native.Uint16(p[4:]) {
		case unix.NLMSG_DONE:
			return false, true, nil
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return false, true, unix.EBADMSG
			}
			return false, true, unix.Errno(-int32(native.Uint32(body)))
		case sockDiagFamily:
			if len(body) >= 6 && ports[binary.BigEndian.Uint16(body[4:])] {
				return true, false, nil
			}
		}
		p = p[min(len(p), (size+3)&^3):]
	}
	if len(p) > 0 {
		return false, true, unix.EBADMSG
	}
	return false, false, nil
}
