package master

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"golang.org/x/sys/unix"
)

// binder finds or opens the sockets of a generation. New ones are bound and do
// not listen yet. It runs outside the owner loop, and is for one call of bind.
type binder struct {
	noReuse bool
	kept    map[*listener]listener // open listeners, as they were when the load began
	passed  *passedSockets

	all, opened []*listener // found so far; opened are the new ones among them
	as          map[*listener]served
	problems    []error
	skipped     []skipped
}

// keep copies the open listeners, because the owner loop goes on changing them.
func keep(listeners iter.Seq[*listener]) map[*listener]listener {
	kept := map[*listener]listener{}
	for l := range listeners {
		kept[l] = *l
	}
	return kept
}

// served is how a generation names and configures a listener.
type served struct {
	Address
	key string // unique in the generation
}

// skipped is an address of a host name that this machine does not have.
type skipped struct {
	listener, address string
	err               error
}

// socketSpec is one socket that a configuration asks for.
type socketSpec struct {
	served
	at   endpoint  // for TCP
	unit *listener // for systemd
}

// String names the socket in an error.
func (w *socketSpec) String() string {
	if _, known, _ := w.endpoint(); w.Path != "" || known {
		return w.Name
	}
	return w.Name + " at " + w.at.hostPort() // one of a name's
}

func newBinder(noReuse bool, kept map[*listener]listener, passed *passedSockets) *binder {
	return &binder{noReuse: noReuse, kept: kept, passed: passed, as: map[*listener]served{}}
}

// bind returns the listeners for the addresses, in order. It keeps sockets that
// are already bound to an address, and opens the others. It reports all
// problems together, and then leaves nothing new open.
func (b *binder) bind(ctx context.Context, addresses []string) ([]*listener, error) {
	for _, s := range addresses {
		a, err := ParseAddress(s)
		if err != nil {
			b.problems = append(b.problems, &ConfigError{err})
			continue
		}
		wants, err := b.resolve(ctx, a)
		if err != nil {
			b.problems = append(b.problems, err)
			continue
		}
		b.open(wants)
	}
	if len(b.problems) > 0 {
		for _, l := range b.opened {
			l.close()
		}
		return nil, errors.Join(b.problems...)
	}
	return b.all, nil
}

// resolve lists the sockets for one address: a host name may have several
// addresses, and a systemd name several sockets. Host names are resolved at
// each reload.
func (b *binder) resolve(ctx context.Context, a Address) ([]socketSpec, error) {
	switch a.Network {
	case "unix":
		return []socketSpec{{served: served{a, a.Name}}}, nil
	case "systemd":
		return b.passed.byName(a)
	}
	at, isKnown, err := a.endpoint()
	if err == nil && isKnown {
		at, err = at.numbered()
		if err != nil {
			err = fmt.Errorf("bind %s: %w", a.Name, err)
		}
		return []socketSpec{{served: served{a, a.Name}, at: at}}, err
	}
	if err != nil {
		return nil, err
	}
	network := map[string]string{"tcp": "ip", "tcp4": "ip4", "tcp6": "ip6"}[a.Network]
	ips, err := lookup(ctx, network, a.Host)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w", a.Name, err)
	}
	var wants []socketSpec
	for _, ip := range ips {
		at, err := endpoint{ip: ip.Unmap(), port: a.Port}.numbered()
		if err != nil {
			return nil, fmt.Errorf("bind %s at %s: %w", a.Name, ip, err)
		}
		if slices.ContainsFunc(wants, func(w socketSpec) bool { return w.at == at }) {
			continue // the hosts file may have it twice
		}
		wants = append(wants, socketSpec{served: served{a, a.Name + "#" + at.ip.String()}, at: at})
	}
	if len(wants) == 1 {
		wants[0].key = a.Name
	}
	return wants, nil
}

// open finds or opens the sockets of one address. A host name may have
// addresses that this machine does not have, such as ::1 without IPv6. They are
// skipped, unless no other is left.
func (b *binder) open(wants []socketSpec) {
	var skippedHere []skipped
	var errs []error
	before := len(b.all)
	for _, w := range wants {
		l, err := b.find(w)
		if err == nil {
			err = b.add(l, w)
		}
		switch {
		case err == nil:
		case addressMissing(err):
			skippedHere = append(skippedHere, skipped{w.Name, w.at.hostPort(), err})
			errs = append(errs, err)
		default:
			b.problems = append(b.problems, err)
		}
	}
	if len(b.all) == before {
		b.problems = append(b.problems, errs...)
		return
	}
	b.skipped = append(b.skipped, skippedHere...)
}

// addressMissing reports whether the machine does not have the address.
func addressMissing(err error) bool {
	return errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT)
}

// add adds l for w, unless the configuration already has it.
func (b *binder) add(l *listener, w socketSpec) error {
	if !slices.Contains(b.all, l) {
		b.all, b.as[l] = append(b.all, l), w.served
		return nil
	}
	return duplicateError(w.Address, b.as[l].Address)
}

// find returns an open socket for w, or a new one.
func (b *binder) find(w socketSpec) (*listener, error) {
	if w.unit != nil {
		return w.unit, nil
	}
	if err := b.conflict(w); err != nil {
		return nil, err
	}
	for l, k := range b.kept {
		if k.reusable() && k.matches(w) {
			return l, nil
		}
	}
	if l := b.passed.byAddress(w); l != nil {
		return l, nil
	}
	var l *listener
	var err error
	if w.Path != "" {
		l, err = b.bindUnix(w)
	} else {
		l, err = b.bindTCP(w)
	}
	if w.at.both && addressMissing(err) {
		w.at, _, err = Address{Network: "tcp4", Port: w.Port}.endpoint() // a kernel without IPv6
		if err != nil {
			return nil, err
		}
		return b.find(w)
	}
	if err != nil {
		return nil, err
	}
	b.opened = append(b.opened, l)
	return l, nil
}

// conflict returns an error if w is or overlaps an earlier socket.
func (b *binder) conflict(w socketSpec) error {
	for _, l := range b.all {
		have := l
		if k, old := b.kept[l]; old {
			have = &k // the owner loop may be changing *l
		}
		switch {
		case have.matches(w):
			return duplicateError(w.Address, b.as[l].Address)
		case have.network == "tcp" && w.Path == "" && !have.external && have.bound.overlaps(w.at):
			return overlapError(w.Address, b.as[l].Address)
		}
	}
	return nil
}

func bindError(name fmt.Stringer, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("bind %s: %w; stop the server that holds it or choose another address", name, err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("bind %s: %w; a port below 1024 needs CAP_NET_BIND_SERVICE, a path a writable directory", name, err)
	}
	return fmt.Errorf("bind %s: %w", name, err)
}
