package master

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// bindAny binds every address: both families on one socket where the kernel
// has IPv6 and the scheme allows it.
func (b *binder) bindAny(a Address) (*listener, error) {
	if a.Network == "tcp" {
		// A socket unit may have it for one family only.
		if l := b.passed.at("tcp", fmt.Sprintf("[::]:%d", a.Port), fmt.Sprintf("0.0.0.0:%d", a.Port)); l != nil {
			return l, nil
		}
	}
	switch a.Network {
	case "tcp4":
		return b.bindTCP(a, netip.IPv4Unspecified(), false)
	case "tcp6":
		return b.bindTCP(a, netip.IPv6Unspecified(), true)
	}
	l, err := b.bindTCP(a, netip.IPv6Unspecified(), false)
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) {
		return b.bindTCP(a, netip.IPv4Unspecified(), false)
	}
	return l, err
}

// bindTCP opens a socket, unless a socket unit has one that is bound to the
// address: who configures an address wants it served, by whoever opened it.
func (b *binder) bindTCP(a Address, ip netip.Addr, v6only bool) (*listener, error) {
	if l := b.passed.at("tcp", netip.AddrPortFrom(ip, uint16(a.Port)).String()); l != nil {
		return l, nil
	}
	var sa unix.Sockaddr
	family := unix.AF_INET
	if ip.Is4() {
		sa = &unix.SockaddrInet4{Port: a.Port, Addr: ip.As4()}
	} else {
		family = unix.AF_INET6
		zone := uint32(0)
		if ip.Zone() != "" {
			ifi, err := net.InterfaceByName(ip.Zone())
			if err != nil {
				return nil, fmt.Errorf("bind %s: %w", a.Name, err)
			}
			zone = uint32(ifi.Index)
		}
		sa = &unix.SockaddrInet6{Port: a.Port, Addr: ip.As16(), ZoneId: zone}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", a.Name, err)
	}
	if err := b.setupTCP(fd, family, sa, v6only); err != nil {
		_ = unix.Close(fd)
		if l, address := b.passed.onPort(a.Port); l != nil && errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("bind %s: %w: systemd has opened %s and passed it; write listen = %q or %q",
				a.Name, err, l.address, l.name, address)
		}
		return nil, bindError(a.Name, err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("inspect %s: %w", a.Name, err)
	}
	return &listener{name: a.Name, network: "tcp", address: sockaddrString(bound), fd: fd}, nil
}

// setupTCP sets the options that accepted sockets inherit (no delay and keep
// alive: the worker saves two system calls a connection), binds and listens.
func (b *binder) setupTCP(fd, family int, sa unix.Sockaddr, v6only bool) error {
	type option struct{ level, name, value int }
	options := []option{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
	}
	if !b.noReuse {
		options = append(options, option{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1})
	}
	if family == unix.AF_INET6 {
		only := 0
		if v6only {
			only = 1
		}
		options = append(options, option{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only})
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		return err
	}
	return unix.Listen(fd, b.backlog)
}

func sockaddrString(sa unix.Sockaddr) string {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)).String()
	case *unix.SockaddrUnix:
		return sa.Name
	}
	return ""
}
