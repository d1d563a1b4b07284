package worker

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peer is a remote address. For TCP it has no pointers, so it costs no garbage.
type peer struct {
	addr netip.AddrPort
	zone uint32 // of a link-local IPv6 address
	path string // of a unix socket
}

// peerOf converts what accept returned.
func peerOf(sa *unix.RawSockaddrAny, size uint32) peer {
	switch sa.Addr.Family {
	case unix.AF_INET:
		p := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return peer{addr: netip.AddrPortFrom(netip.AddrFrom4(p.Addr), port(p.Port))}
	case unix.AF_INET6:
		p := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		// Unmap: an IPv4 client of a dual-stack socket has an IPv4 address.
		return peer{addr: netip.AddrPortFrom(netip.AddrFrom16(p.Addr).Unmap(), port(p.Port)), zone: p.Scope_id}
	case unix.AF_UNIX:
		return peer{path: unixPath((*unix.RawSockaddrUnix)(unsafe.Pointer(sa)), size)}
	}
	return peer{}
}

// port converts from network byte order.
func port(raw uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], raw)
	return binary.BigEndian.Uint16(b[:])
}

// unixPath returns the path, with a leading @ for an abstract address, and ""
// for a socket without a name.
func unixPath(sa *unix.RawSockaddrUnix, size uint32) string {
	const header = 2 // the family
	n := min(int(size)-header, len(sa.Path))
	if n <= 0 {
		return ""
	}
	b := make([]byte, 0, n)
	for i, c := range sa.Path[:n] {
		if c == 0 && i > 0 && sa.Path[0] != 0 {
			break // a path ends at its zero byte, an abstract name does not
		}
		b = append(b, byte(c))
	}
	if b[0] == 0 {
		b[0] = '@'
	}
	return string(b)
}

// netAddr makes the address that package net would make.
func (p *peer) netAddr(network string) net.Addr {
	if network == "unix" {
		return &net.UnixAddr{Net: "unix", Name: p.path}
	}
	a := &net.TCPAddr{IP: p.addr.Addr().AsSlice(), Port: int(p.addr.Port())}
	if p.zone != 0 {
		a.Zone = zoneName(p.zone)
	}
	return a
}

// netAddr converts what getsockname returned. It is nil for another address family.
func netAddr(sa unix.Sockaddr) net.Addr {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: net.IP(a.Addr[:]), Port: a.Port}
	case *unix.SockaddrInet6:
		addr := &net.TCPAddr{IP: netip.AddrFrom16(a.Addr).Unmap().AsSlice(), Port: a.Port}
		if a.ZoneId != 0 {
			addr.Zone = zoneName(a.ZoneId)
		}
		return addr
	case *unix.SockaddrUnix:
		return &net.UnixAddr{Net: "unix", Name: a.Name}
	}
	return nil
}

// zoneName returns the index of the interface, which package net takes as well. Its
// name would cost a netlink query.
func zoneName(index uint32) string { return strconv.FormatUint(uint64(index), 10) }
