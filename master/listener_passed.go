package master

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/systemd"
)

// storePrefix marks the descriptors that a master put into the service
// manager's store, beside those of socket units.
const storePrefix = "prefork "

// passedSockets are the listening sockets that the service manager passed: by
// the name of a socket unit, or out of its store, where an earlier master left
// them. It does not change after receiveSockets.
type passedSockets struct {
	units  map[string][]*listener // by FileDescriptorName
	stored map[string]*listener   // by key
}

// receiveSockets takes what systemd passed to this process.
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
			_ = unix.Close(f.FD) // ours, and shut down: the first generation opens another
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

// unnamed is how a socket that was passed under no name is asked for, as it is
// if none of them came with names.
const unnamed = "unknown"

// listen returns the addresses to serve: those that are configured, else every
// socket that a unit has opened, for nothing else will answer whoever connects
// to it, else the default.
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

// adoptStored takes back a socket that an earlier master of this service
// bound, with the file it may have.
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
			_ = unix.Close(l.fd) // nobody can reach it any more
			return
		}
		l.path, l.dev, l.ino = l.address, st.Dev, st.Ino
	}
	l.quiesced = l.network == "tcp" // by a master that died while it drained, perhaps
	p.stored[key] = l
}

// kept returns the stored sockets, for the first generation to claim.
func (p *passedSockets) kept() map[*listener]keptListener {
	kept := map[*listener]keptListener{}
	for _, l := range p.stored {
		kept[l] = keptListener{*l, l.reusable()}
	}
	return kept
}

// claimed forgets the stored sockets once the first generation has taken its
// own, and closes those that it had no use for. It returns their keys.
func (p *passedSockets) claimed(by *generation) (unused []string) {
	for key, l := range p.stored {
		if !by.has(l) {
			l.stored = false // not for long
			l.close()
			unused = append(unused, key)
		}
	}
	p.stored = nil
	sort.Strings(unused)
	return unused
}

// named lists the sockets of one socket unit.
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

// at returns the socket unit's socket that w asks for by its address, or nil:
// who configures an address wants it served, by whoever opened it.
func (p *passedSockets) byAddress(w socketSpec) *listener {
	for _, list := range p.units {
		for _, l := range list {
			switch {
			case l.network == "unix" && w.Path != "":
				if samePath(l.address, w.Path) {
					return l
				}
			case l.network == "tcp" && w.Path == "" && l.bound.port == w.at.port:
				// A unit may have [::] for one family only, or for both.
				if l.bound.ip == w.at.ip || w.at.both && l.bound.ip == netip.IPv4Unspecified() {
					return l
				}
			}
		}
	}
	return nil
}

// samePath says whether two paths of sockets, or two abstract names, are one.
func samePath(a, b string) bool {
	if a == b {
		return true
	}
	var x, y unix.Stat_t
	return a != "" && a[0] == '/' && b[0] == '/' && unix.Lstat(a, &x) == nil && unix.Lstat(b, &y) == nil && x.Dev == y.Dev && x.Ino == y.Ino
}

// onPort returns a socket unit's TCP socket with this port, and how to ask for
// it; or nil.
func (p *passedSockets) byPort(port int) (l *listener, address string) {
	for _, name := range slices.Sorted(maps.Keys(p.units)) {
		for _, l := range p.units[name] {
			if l.network != "tcp" || l.bound.port != port {
				continue
			}
			if l.bound.ip.IsUnspecified() {
				return l, fmt.Sprintf("tcp://:%d", port)
			}
			return l, "tcp://" + l.address
		}
	}
	return nil, ""
}

// close closes the socket units' sockets when the master ends: the service
// manager has its own copies.
func (p *passedSockets) close() {
	for _, list := range p.units {
		for _, l := range list {
			_ = unix.Close(l.fd)
		}
	}
}
