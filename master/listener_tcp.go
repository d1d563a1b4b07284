package master

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// bindTCP opens a socket for w. Our own sockets on the same port may stay: when
// a reload changes from one address to all of them, or back, the old generation
// goes on until the new one has taken over.
func (b *binder) bindTCP(w socketSpec) (*listener, error) {
	at := b.bindAddress(w)
	family, sa := at.sockaddr()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", &w, err)
	}
	var rivals []*listener
	for l, k := range b.kept {
		if k.mayBlock(at) {
			rivals = append(rivals, l)
		}
	}
	err = b.setupTCP(fd, family, !w.at.both)
	if err == nil {
		err = sharePort(fd, rivals, func() error { return unix.Bind(fd, sa) })
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, b.bindTCPError(w, rivals, err)
	}
	if at, err = boundTo(fd); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("inspect %s: %w", &w, err)
	}
	return &listener{name: w.Name, network: "tcp", address: at.hostPort(), fd: fd, bound: at, requested: w.at}, nil
}

// bindAddress returns where to bind. A broken socket whose port the kernel had
// chosen is replaced at that port, because clients know it.
func (b *binder) bindAddress(w socketSpec) endpoint {
	for _, k := range b.kept {
		if w.at.port == 0 && !k.reusable() && k.matches(w) {
			return k.bound
		}
	}
	return w.at
}

// bindTCPError adds to err what is known about the socket that has the address.
func (b *binder) bindTCPError(w socketSpec, rivals []*listener, err error) error {
	if !errors.Is(err, unix.EADDRINUSE) {
		return bindError(&w, err)
	}
	if l, address := b.passed.byPort(w.at.port); l != nil {
		return fmt.Errorf("bind %s: %w: systemd has opened %s and passed it; write listen = %q or %q",
			&w, err, l.address, l.name, address)
	}
	if len(rivals) > 0 {
		return fmt.Errorf("bind %s: %w, by this server's %s or by another server; choose another port, or stop and start",
			&w, err, rivals[0].bound)
	}
	return bindError(&w, err)
}

// setupTCP sets options that accepted sockets inherit, which saves the worker
// system calls.
func (b *binder) setupTCP(fd, family int, v6only bool) error {
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
	return nil
}

// mayBlock reports whether l may keep another of our listeners from binding at.
func (l *listener) mayBlock(at endpoint) bool {
	return l.network == "tcp" && !l.external && at.port != 0 && l.bound.port == at.port
}

// sharePort calls f, which binds fd or makes it listen. If the address is in
// use, it tries again with SO_REUSEPORT set on fd and on our listeners with
// that port: then the kernel lets both listen. The kernel checks the option
// only at bind and listen, so nobody else can join later. Of two that listen,
// the one with the more specific address gets the connections.
func sharePort(fd int, rivals []*listener, f func() error) error {
	err := f()
	if !errors.Is(err, unix.EADDRINUSE) || len(rivals) == 0 {
		return err
	}
	share := func(on int) error {
		err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, on)
		for _, l := range rivals {
			err = errors.Join(err, unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, on))
		}
		return err
	}
	err = share(1)
	if err == nil {
		err = f()
	}
	return errors.Join(err, share(0))
}
