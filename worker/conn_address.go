package worker

import (
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// addrPort converts a TCP address; ok is false for another one. An IPv4 client of a
// dual-stack socket has its IPv4 address. The zone is the index of the interface,
// because its name would cost a netlink query.
func addrPort(sa syscall.Sockaddr) (_ netip.AddrPort, ok bool) {
	switch a := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), true
	case *syscall.SockaddrInet6:
		addr := netip.AddrFrom16(a.Addr).Unmap()
		if a.ZoneId != 0 {
			addr = addr.WithZone(strconv.FormatUint(uint64(a.ZoneId), 10))
		}
		return netip.AddrPortFrom(addr, uint16(a.Port)), true
	}
	return netip.AddrPort{}, false
}

// netAddr makes the address that package net would make. It is nil for another
// address family.
func netAddr(sa syscall.Sockaddr) net.Addr {
	if addr, ok := addrPort(sa); ok {
		return net.TCPAddrFromAddrPort(addr)
	}
	if a, ok := sa.(*syscall.SockaddrUnix); ok {
		return &net.UnixAddr{Net: "unix", Name: unixName(a)}
	}
	return nil
}

// unixName returns the path, with a leading @ for an abstract address, and "" for a
// socket without a name, which package syscall calls "@".
func unixName(a *syscall.SockaddrUnix) string {
	if a.Name == "@" {
		return ""
	}
	return a.Name
}
