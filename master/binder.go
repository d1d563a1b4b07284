package master

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// defaultBacklog is listen(2)'s; the kernel caps it at net.core.somaxconn.
const defaultBacklog = 4096

// binder opens the listeners of a generation. It runs off the owner loop.
type binder struct {
	backlog int
	noReuse bool
	kept    map[string]*listener // open ones that may be kept, by key; read only
	passed  *passedSockets

	addresses map[*listener]Address // what bind returned was asked for so
}

func newBinder(queue int, noReuse bool, kept map[string]*listener, passed *passedSockets) *binder {
	return &binder{backlog: backlog(queue), noReuse: noReuse, kept: kept, passed: passed, addresses: map[*listener]Address{}}
}

// backlog returns listen(2)'s argument for a configured one.
func backlog(n int) int {
	if n <= 0 {
		return defaultBacklog
	}
	return n
}

// bind returns the listeners for the addresses, in order: those kept where the
// key is known, new ones elsewhere. All problems are reported at once, and then
// nothing new stays open.
func (b *binder) bind(ctx context.Context, addresses []string) ([]*listener, error) {
	var all, fresh []*listener
	var problems []error
	seen := map[string]bool{}
	for _, s := range addresses {
		a, err := ParseAddress(s)
		if err != nil {
			problems = append(problems, &ConfigError{err})
			continue
		}
		sockets, err := b.resolve(ctx, a)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		for _, open := range sockets {
			if seen[open.key] {
				problems = append(problems, &ConfigError{fmt.Errorf("listen address %q: given twice", s)})
				continue
			}
			seen[open.key] = true
			if l := b.kept[open.key]; l != nil {
				all = append(all, l)
				b.addresses[l] = a
				continue
			}
			l, err := open.open()
			if err != nil {
				problems = append(problems, err)
				continue
			}
			if slices.Contains(all, l) {
				problems = append(problems, &ConfigError{fmt.Errorf("listen address %q: systemd's socket for it is there already, by its name", s)})
				continue
			}
			l.key = open.key
			b.addresses[l] = a
			all, fresh = append(all, l), append(fresh, l)
		}
	}
	if len(problems) > 0 {
		for _, l := range fresh {
			l.close()
		}
		return nil, errors.Join(problems...)
	}
	return all, nil
}

// opening is a socket that bind may have to open.
type opening struct {
	key  string
	open func() (*listener, error)
}

// resolve lists the sockets that one address stands for: a host name may have
// several addresses, a systemd name several sockets.
func (b *binder) resolve(ctx context.Context, a Address) ([]opening, error) {
	switch a.Network {
	case "unix":
		return []opening{{a.Name, func() (*listener, error) {
			if l := b.passed.at("unix", a.Path); l != nil {
				return l, nil
			}
			return bindUnix(a, b.backlog)
		}}}, nil
	case "systemd":
		return b.passed.named(a)
	}
	if a.Host == "" || a.Host == "::" && a.Network == "tcp" {
		return []opening{{a.Name, func() (*listener, error) { return b.bindAny(a) }}}, nil
	}
	if ip, err := netip.ParseAddr(a.Host); err == nil {
		if a.Network == "tcp4" && !ip.Is4() || a.Network == "tcp6" && !ip.Is6() {
			return nil, &ConfigError{fmt.Errorf("listen address %q: %s is not an address of %s", a.Name, ip, a.Network)}
		}
		return []opening{{a.Name, func() (*listener, error) { return b.bindTCP(a, ip, true) }}}, nil
	}
	network := map[string]string{"tcp": "ip", "tcp4": "ip4", "tcp6": "ip6"}[a.Network]
	ips, err := net.DefaultResolver.LookupNetIP(ctx, network, a.Host)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w", a.Name, err)
	}
	var sockets []opening
	for _, ip := range ips {
		ip = ip.Unmap()
		key := a.Name
		if len(ips) > 1 {
			key += "#" + ip.String()
		}
		sockets = append(sockets, opening{key, func() (*listener, error) { return b.bindTCP(a, ip, true) }})
	}
	return sockets, nil
}

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

// bindUnix binds a stream socket. A file that a dead server left is replaced;
// one that answers, or that is no socket, is not.
func bindUnix(a Address, backlog int) (*listener, error) {
	abstract := a.Path[0] == '@'
	if !abstract {
		if err := removeStale(a.Path); err != nil {
			return nil, fmt.Errorf("bind %s: %w", a.Name, err)
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", a.Name, err)
	}
	l := &listener{name: a.Name, network: "unix", address: a.Path, fd: fd}
	if a.HasMode && !abstract {
		// On Linux the file takes its mode from the socket at bind, so there
		// is no moment at which it is open to more than it should be.
		err = unix.Fchmod(fd, a.Mode)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: a.Path})
	}
	if err == nil && !abstract {
		err = l.takeFile(a)
	}
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		l.close()
		return nil, bindError(a.Name, err)
	}
	return l, nil
}

// removeStale removes a socket file that nobody listens on any more.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is no socket; remove it or choose another path", path)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	case errors.Is(err, unix.ENOENT):
		return nil
	case err == nil, errors.Is(err, unix.EAGAIN): // EAGAIN: alive, with a full queue
		return fmt.Errorf("%s is in use by another server: %w", path, unix.EADDRINUSE)
	}
	return fmt.Errorf("probe %s: %w", path, err)
}

func bindError(name string, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("bind %s: %w; stop the server that holds it or choose another address", name, err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("bind %s: %w; a port below 1024 needs CAP_NET_BIND_SERVICE, a path a writable directory", name, err)
	}
	return fmt.Errorf("bind %s: %w", name, err)
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
