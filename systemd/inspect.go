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
	// udp4, udp6, unix, unixgram or unixpacket. A tcp6 or udp6 socket that also
	// takes IPv4 has DualStack. Empty for any other kind.
	Network   string
	DualStack bool

	Family   int  // AF_INET, AF_INET6, AF_UNIX, …
	Type     int  // SOCK_STREAM, …
	Protocol int  // IPPROTO_TCP, …
	Listens  bool // listen(2) was called on it (SO_ACCEPTCONN)

	// Address is where it is bound, as package net writes it: host:port, a
	// path, or @ and an abstract name. Empty for a Unix socket without one, or
	// for an unknown family. The scope of an IPv6 address is its number.
	Address string
}

// Stream reports whether it is a TCP or Unix stream socket that listens.
func (s Socket) Stream() bool {
	return s.Listens && (s.Network == "tcp4" || s.Network == "tcp6" || s.Network == "unix")
}

// String describes the socket in an error message.
func (s Socket) String() string {
	network := s.Network
	if network == "" {
		network = fmt.Sprintf("socket(family %d, type %d, protocol %d)", s.Family, s.Type, s.Protocol)
	}
	text := "unbound " + network
	if s.Address != "" {
		text = network + " " + s.Address
	}
	if s.Listens {
		text += ", listening"
	}
	return text
}

// Inspect describes the socket fd, which stays the caller's and is not changed.
// See sd_is_socket(3).
func Inspect(fd int) (Socket, error) {
	var s Socket
	for _, option := range []struct {
		name  int
		value *int
	}{
		{unix.SO_DOMAIN, &s.Family},
		{unix.SO_TYPE, &s.Type},
		{unix.SO_PROTOCOL, &s.Protocol},
	} {
		v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option.name)
		if err == unix.ENOTSOCK {
			err = ErrNotSocket
		}
		if err != nil {
			return Socket{}, fmt.Errorf("inspect descriptor %d: %w", fd, err)
		}
		*option.value = v
	}
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil && err != unix.ENOPROTOOPT { // families that never listen need not know it
		return Socket{}, fmt.Errorf("inspect descriptor %d: %w", fd, err)
	}
	s.Listens = listens != 0
	s.Network = network(s)
	if s.Network == "" {
		return s, nil
	}
	if s.Address, err = boundAddress(fd); err != nil {
		return Socket{}, fmt.Errorf("inspect descriptor %d: %w", fd, err)
	}
	if s.Family == unix.AF_INET6 {
		only, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		if err != nil {
			return Socket{}, fmt.Errorf("inspect descriptor %d: %w", fd, err)
		}
		s.DualStack = only == 0
	}
	return s, nil
}

func network(s Socket) string {
	switch [3]int{s.Family, s.Type, s.Protocol} {
	case [3]int{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP}:
		return "tcp4"
	case [3]int{unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_TCP}:
		return "tcp6"
	case [3]int{unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDP}:
		return "udp4"
	case [3]int{unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDP}:
		return "udp6"
	}
	if s.Family != unix.AF_UNIX {
		return ""
	}
	switch s.Type {
	case unix.SOCK_STREAM:
		return "unix"
	case unix.SOCK_DGRAM:
		return "unixgram"
	case unix.SOCK_SEQPACKET:
		return "unixpacket"
	}
	return ""
}

func boundAddress(fd int) (string, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return "", fmt.Errorf("read its address: %w", err)
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
