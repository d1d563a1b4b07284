package systemd

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrNotSocket is wrapped by the error of Inspect for an open descriptor that is
// not a socket, such as a FIFO or a memfd from the descriptor store.
var ErrNotSocket = errors.New("not a socket")

// Socket describes a passed descriptor.
type Socket struct {
	// Network is the name that package net gives such a socket: tcp4, tcp6,
	// udp4, udp6, unix, unixgram or unixpacket. For another kind it is its
	// family, type and protocol.
	Network   string
	DualStack bool // a tcp6 or udp6 socket that also takes IPv4
	Listens   bool // listen(2) was called on it (SO_ACCEPTCONN)

	// Address is where it is bound, as package net writes it: host:port, a
	// path, or @ and an abstract name. Empty for a Unix socket without one, or
	// for another kind. The scope of an IPv6 address is its number.
	Address string
}

// Stream reports whether it is a TCP or Unix stream socket that listens.
func (s Socket) Stream() bool {
	return s.Listens && (s.Network == "tcp4" || s.Network == "tcp6" || s.Network == "unix")
}

// String describes the socket in an error message.
func (s Socket) String() string {
	text := "unbound " + s.Network
	if s.Address != "" {
		text = s.Network + " " + s.Address
	}
	if s.Listens {
		text += ", listening"
	}
	return text
}

// Inspect describes the socket fd, which stays the caller's and is not changed.
// See sd_is_socket(3).
func Inspect(fd int) (Socket, error) {
	s, err := inspect(fd)
	if err == unix.ENOTSOCK {
		err = ErrNotSocket
	}
	if err != nil {
		return Socket{}, fmt.Errorf("inspect descriptor %d: %w", fd, err)
	}
	return s, nil
}

// networks are the names of sockets, by family, type and protocol.
var networks = map[[3]int]string{
	{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP}:  "tcp4",
	{unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_TCP}: "tcp6",
	{unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDP}:   "udp4",
	{unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDP}:  "udp6",
	{unix.AF_UNIX, unix.SOCK_STREAM, 0}:                 "unix",
	{unix.AF_UNIX, unix.SOCK_DGRAM, 0}:                  "unixgram",
	{unix.AF_UNIX, unix.SOCK_SEQPACKET, 0}:              "unixpacket",
}

func inspect(fd int) (s Socket, err error) {
	var kind [3]int
	for i, option := range []int{unix.SO_DOMAIN, unix.SO_TYPE, unix.SO_PROTOCOL} {
		if kind[i], err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, option); err != nil {
			return s, err
		}
	}
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil && err != unix.ENOPROTOOPT { // families that never listen need not know it
		return s, err
	}
	s.Listens = listens != 0
	name, known := networks[kind]
	if !known {
		s.Network = fmt.Sprintf("socket(family %d, type %d, protocol %d)", kind[0], kind[1], kind[2])
		return s, nil
	}
	s.Network = name
	if kind[0] == unix.AF_INET6 {
		only, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		if err != nil {
			return s, err
		}
		s.DualStack = only == 0
	}
	s.Address, err = boundAddress(fd)
	return s, err
}

func boundAddress(fd int) (string, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return "", err
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String(), nil
	case *unix.SockaddrInet6:
		addr := netip.AddrFrom16(sa.Addr)
		if sa.ZoneId != 0 {
			addr = addr.WithZone(strconv.FormatUint(uint64(sa.ZoneId), 10))
		}
		return netip.AddrPortFrom(addr, uint16(sa.Port)).String(), nil
	case *unix.SockaddrUnix:
		if sa.Name == "@" { // what x/sys makes of an address without a name
			return "", nil
		}
		return sa.Name, nil
	}
	return "", nil
}
