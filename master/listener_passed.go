package master

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/systemd"
)

// storePrefix marks the descriptors that a master has put into the service
// manager's store.
const storePrefix = "prefork "

// passedSockets are the listening sockets that the service manager passed:
// those of socket units, by name, and those that an earlier master has stored.
// It does not change after receiveSockets.
type passedSockets struct {
	units  map[string][]*listener // by FileDescriptorName
	stored map[string]*listener   // by key
}

// receiveSockets takes the sockets that systemd passed to this process.
func receiveSockets() (*passedSockets, error) {
	files, err := systemd.Files(true)
	if err != nil {
		return nil, err
	}
	p := &passedSockets{units: map[string][]*listener{}, stored: map[string]*listener{}}
	for _, f := range files {
		socket, err := systemd.Inspect(f.FD)
		if err != nil {
			return nil, fmt.Errorf("passed descriptor %q: %w", f.Name, err)
		}
		if !socket.Listens && strings.HasPrefix(systemd.UnescapeName(f.Name), storePrefix) {
			_ = unix.Close(f.FD) // stored, and shut down since
			continue
		}
		if !socket.Stream() {
			return nil, fmt.Errorf("passed descriptor %q is a %s; want a listening stream socket (ListenStream= with Accept=no)", f.Name, socket)
		}
		if err := unix.SetNonblock(f.FD, true); err != nil {
			return nil, fmt.Errorf("passed descriptor %q: %w", f.Name, err)
		}
		l := &listener{network: "tcp", address: socket.Address, fd: f.FD, listening: true}
		if socket.Network == "unix" {
			l.network = "unix"
			ipc.RefuseDescriptors(f.FD)
		} else if l.bound, err = boundTo(f.FD); err != nil {
			return nil, fmt.Errorf("passed descriptor %q: %w", f.Name, err)
		}
		l.recordState()
		l.backlog = l.expected.depth
		if key, ours := strings.CutPrefix(systemd.UnescapeName(f.Name), storePrefix); ours {
			p.adoptStored(l, key)
			continue
		}
		name := f.Name
		if name == "" {
			name = unnamed
		}
		l.name, l.external = "systemd:"+name, true
		p.units[name] = append(p.units[name], l)
	}
	return p, nil
}

// unnamed is systemd's name for sockets that were passed without names.
const unnamed = "unknown"

// addresses returns the configured addresses. Without any, these are all
// sockets of units, since nobody else would answer their clients, or the
// default.
func (p *passedSockets) addresses(configured []string) []string {
	if len(configured) > 0 {
		return configured
	}
	if len(p.units) == 0 {
		return []string{DefaultListen}
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(p.units)) {
		all = append(all, "systemd:"+name)
	}
	return all
}

// adoptStored takes a socket that an earlier master stored, with its file.
func (p *passedSockets) adoptStored(l *listener, key string) {
	l.name, l.stored = key, true
	if a, err := ParseAddress(key); err == nil && l.network == "tcp" {
		l.requested, _, _ = a.endpoint()
	}
	if old := p.stored[key]; old != nil {
		_ = unix.Close(l.fd)
		return
	}
	if l.network == "unix" && !strings.HasPrefix(l.address, "@") {
		var st unix.Stat_t
		if unix.Lstat(l.address, &st) != nil {
			_ = unix.Close(l.fd) // no client can reach it
			return
		}
		l.path, l.dev, l.ino = l.address, st.Dev, st.Ino
	}
	l.quiesced = l.network == "tcp" // perhaps, by a master that died in a drain
	p.stored[key] = l
}

// kept returns the stored sockets, which the first generation may take.
func (p *passedSockets) kept() map[*listener]listener { return keep(maps.Values(p.stored)) }

// claimed closes the stored sockets that are not in use, and returns their keys.
func (p *passedSockets) claimed(inUse []*listener) (unused []string) {
	for key, l := range p.stored {
		if !slices.Contains(inUse, l) {
			l.stored = false
			l.close()
			unused = append(unused, key)
		}
	}
	p.stored = nil
	slices.Sort(unused)
	return unused
}

// sockets returns the sockets of all units, by name.
func (p *passedSockets) sockets() (all []*listener) {
	for _, name := range slices.Sorted(maps.Keys(p.units)) {
		all = append(all, p.units[name]...)
	}
	return all
}

// byName lists the sockets of a socket unit.
func (p *passedSockets) byName(a Address) ([]socketSpec, error) {
	list := p.units[a.Label]
	if len(list) == 0 {
		names := slices.Sorted(maps.Keys(p.units))
		if len(names) == 0 {
			return nil, &ConfigError{fmt.Errorf("listen address %q: systemd passed no socket; start through the socket unit", a.Name)}
		}
		return nil, &ConfigError{fmt.Errorf("listen address %q: systemd passed no socket of this name, only %s", a.Name, strings.Join(names, ", "))}
	}
	var wants []socketSpec
	for i, l := range list {
		key := a.Name
		if len(list) > 1 {
			key = fmt.Sprintf("%s#%d", a.Name, i)
		}
		wants = append(wants, socketSpec{served: served{a, key}, unit: l})
	}
	return wants, nil
}

// byAddress returns the unit's socket that is bound to w's address, or nil. An
// address in the configuration may have been opened by systemd.
func (p *passedSockets) byAddress(w socketSpec) *listener {
	for _, l := range p.sockets() {
		switch {
		case l.network == "unix" && w.Path != "" && samePath(l.address, w.Path):
			return l
		case l.network == "tcp" && w.Path == "" && l.bound.port == w.at.port &&
			// A unit may have [::] for one family only, or for both.
			(l.bound.ip == w.at.ip || w.at.both && l.bound.ip == netip.IPv4Unspecified()):
			return l
		}
	}
	return nil
}

// samePath reports whether two socket paths or abstract names are the same.
func samePath(a, b string) bool {
	if a == b {
		return true
	}
	var x, y unix.Stat_t
	return a != "" && a[0] == '/' && b[0] == '/' && unix.Lstat(a, &x) == nil && unix.Lstat(b, &y) == nil && x.Dev == y.Dev && x.Ino == y.Ino
}

// byPort returns a unit's TCP socket with this port, and how to configure it;
// or nil.
func (p *passedSockets) byPort(port int) (l *listener, address string) {
	for _, l := range p.sockets() {
		switch {
		case l.network != "tcp" || l.bound.port != port:
		case l.bound.ip.IsUnspecified():
			return l, fmt.Sprintf("tcp://:%d", port)
		default:
			return l, "tcp://" + l.address
		}
	}
	return nil, ""
}

// close closes the sockets of units. The service manager has copies.
func (p *passedSockets) close() {
	for _, l := range p.sockets() {
		_ = unix.Close(l.fd)
	}
}
