package master

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"prefork/systemd"
)

// endpoint is what a TCP socket is bound to, however the address was written.
// It is comparable.
type endpoint struct {
	ip   netip.Addr // a zone is an interface number
	port int        // 0: the kernel chooses
	both bool       // [::] that accepts IPv4 as well
}

// String writes the endpoint as a listen address.
func (e endpoint) String() string {
	scheme := "tcp"
	if e.ip.Is6() && e.ip.IsUnspecified() && !e.both {
		scheme = "tcp6"
	}
	return scheme + "://" + e.hostPort()
}

func (e endpoint) hostPort() string { return netip.AddrPortFrom(e.ip, uint16(e.port)).String() }

// covers reports whether a socket at e is bound to every address of one at o. The
// kernel lets only one of them listen.
func (e endpoint) covers(o endpoint) bool {
	return e.port == o.port && e.port != 0 && e.ip.IsUnspecified() && (e.both || e.ip.Is4() == o.ip.Is4())
}

func (e endpoint) overlaps(o endpoint) bool { return e.covers(o) || o.covers(e) }

// endpoint returns what a means, and false if that needs a name server.
func (a Address) endpoint() (e endpoint, known bool, err error) {
	e.port = a.Port
	if a.Host == "" || a.Host == "::" && a.Network == "tcp" {
		e.ip, e.both = netip.IPv6Unspecified(), a.Network == "tcp"
		if a.Network == "tcp4" {
			e.ip = netip.IPv4Unspecified()
		}
		return e, true, nil
	}
	ip, err := netip.ParseAddr(a.Host)
	if err != nil {
		return e, false, nil //nolint:nilerr // it is a name
	}
	e.ip = ip.Unmap()
	if a.Network == "tcp4" && !e.ip.Is4() || a.Network == "tcp6" && !e.ip.Is6() {
		return e, false, &ConfigError{fmt.Errorf("listen address %q: %s is not an address of %s", a.Name, ip, a.Network)}
	}
	return e, true, nil
}

// numbered replaces the name of a zone by the interface number.
func (e endpoint) numbered() (endpoint, error) {
	if e.ip.Zone() == "" {
		return e, nil
	}
	if _, err := strconv.ParseUint(e.ip.Zone(), 10, 32); err == nil {
		return e, nil
	}
	ifi, err := net.InterfaceByName(e.ip.Zone())
	if err != nil {
		return e, err
	}
	e.ip = e.ip.WithZone(strconv.Itoa(ifi.Index))
	return e, nil
}

// sockaddr returns the endpoint for bind. Its zone must be a number.
func (e endpoint) sockaddr() (family int, sa unix.Sockaddr) {
	if e.ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: e.port, Addr: e.ip.As4()}
	}
	zone, _ := strconv.ParseUint(e.ip.Zone(), 10, 32) // "" is 0
	return unix.AF_INET6, &unix.SockaddrInet6{Port: e.port, Addr: e.ip.As16(), ZoneId: uint32(zone)}
}

// boundTo returns the endpoint of a TCP socket.
func boundTo(fd int) (endpoint, error) {
	s, err := systemd.Inspect(fd)
	if err != nil {
		return endpoint{}, err
	}
	at, err := netip.ParseAddrPort(s.Address)
	return endpoint{ip: at.Addr(), port: int(at.Port()), both: s.DualStack && at.Addr().IsUnspecified()}, err
}

// CheckAddresses returns all problems of a list of listen addresses that can be
// found without a name server and without binding: invalid ones, and ones that
// cannot be served together.
func CheckAddresses(listen []string) []error {
	var problems []error
	var seen []Address
	for _, s := range listen {
		a, err := ParseAddress(s)
		if err == nil && a.Port > 0 {
			_, _, err = a.endpoint()
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		for _, o := range seen {
			if err := a.conflict(o); err != nil {
				problems = append(problems, err)
				break
			}
		}
		seen = append(seen, a)
	}
	return problems
}

// conflict returns why a cannot be served together with o, if that can be known.
func (a Address) conflict(o Address) error {
	same := a.Name == o.Name
	if a.Path != "" && o.Path != "" {
		same = filepath.Clean(a.Path) == filepath.Clean(o.Path)
	}
	x, known, _ := a.endpoint()
	y, both, _ := o.endpoint()
	if a.Path+a.Label+o.Path+o.Label != "" || !known || !both {
		known = false
	}
	switch {
	case same || known && x == y:
		return duplicateError(a, o)
	case known && x.overlaps(y):
		return overlapError(a, o)
	}
	return nil
}

func duplicateError(a, o Address) error {
	if a.Name == o.Name {
		return &ConfigError{fmt.Errorf("listen address %q: given twice", a.Name)}
	}
	return &ConfigError{fmt.Errorf("listen address %q: the same socket as %q", a.Name, o.Name)}
}

func overlapError(a, o Address) error {
	return &ConfigError{fmt.Errorf("listen address %q: it overlaps %q, and only one of them can listen", a.Name, o.Name)}
}

// hostsCacheTime is how long package net caches the hosts file, and a little
// more.
const hostsCacheTime = 5*time.Second + 20*time.Millisecond

// lastLookup is when this process may last have read the hosts file, as Unix
// time in nanoseconds. It is global, as the cache of package net is.
var lastLookup atomic.Int64

// lookup resolves a host name. If the hosts file has just changed, it waits
// until package net reads it again: otherwise a reload would succeed with the
// old addresses.
func lookup(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if info, err := os.Stat("/etc/hosts"); err == nil {
		wait := time.NewTimer(hostsDelay(time.Unix(0, lastLookup.Load()), info.ModTime(), time.Now()))
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-ctx.Done(): // the lookup returns its error
		}
	}
	lastLookup.Store(time.Now().UnixNano())
	return net.DefaultResolver.LookupNetIP(ctx, network, host)
}

// hostsDelay returns how long to wait until package net reads a file that was
// changed at that time.
func hostsDelay(looked, changed, now time.Time) time.Duration {
	if changed.Before(looked.Add(-10 * time.Millisecond)) { // the time of a file is that of a tick
		return 0
	}
	return max(0, looked.Add(hostsCacheTime).Sub(now))
}
