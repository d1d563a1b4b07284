package master

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
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

func bindError(name string, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("bind %s: %w; stop the server that holds it or choose another address", name, err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("bind %s: %w; a port below 1024 needs CAP_NET_BIND_SERVICE, a path a writable directory", name, err)
	}
	return fmt.Errorf("bind %s: %w", name, err)
}
