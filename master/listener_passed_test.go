package master

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"prefork/internal/testdir"
)

// passedFrom returns the sockets of a socket unit called web.
func passedFrom(t *testing.T, addresses ...string) *passedSockets {
	t.Helper()
	p := &passedSockets{units: map[string][]*listener{}}
	for _, a := range addresses {
		l := bindOne(t, a)
		p.units["web"] = append(p.units["web"], &listener{
			name: "systemd:web", network: l.network, address: l.address, bound: l.bound, fd: l.fd, external: true, listening: true,
		})
	}
	return p
}

func TestASocketOfSystemdIsUsedForItsAddress(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "s")
	p := passedFrom(t, "tcp://127.0.0.1:0", "tcp4://:0", "tcp6://[::1]:0", "unix://"+path)
	sockets := p.units["web"]
	for i, address := range []string{
		"tcp://" + sockets[0].address,
		"tcp://:" + sockets[1].address[strings.LastIndex(sockets[1].address, ":")+1:],
		"tcp6://" + sockets[2].address,
		"unix://" + path,
	} {
		b := newBinder(false, nil, p)
		got, err := b.bind(context.Background(), []string{address})
		if err != nil || len(got) != 1 || got[0] != sockets[i] {
			t.Errorf("%s is bound to %v, %v; want the unit's socket", address, got, err)
			continue
		}
		if key := b.as[got[0]].key; key != address {
			t.Errorf("%s has key %q", address, key)
		}
	}
}

func TestASocketIsNotServedTwice(t *testing.T) {
	p := passedFrom(t, "tcp://127.0.0.1:0")
	address := "tcp://" + p.units["web"][0].address
	for _, addresses := range [][]string{{address, "systemd:web"}, {"systemd:web", address}} {
		b := newBinder(false, nil, p)
		if got, err := b.bind(context.Background(), addresses); err == nil || !strings.Contains(err.Error(), "the same socket as") {
			t.Errorf("%v is bound to %v, %v; want a refusal", addresses, got, err)
		}
	}
}

// Without addresses every passed socket is served, because its clients wait in
// its queue.
func TestWithoutAddressesEveryPassedSocketIsServed(t *testing.T) {
	p := passedFrom(t, "tcp://127.0.0.1:0", "tcp://127.0.0.1:0")
	l := bindOne(t, "tcp://127.0.0.1:0")
	p.units[unnamed] = []*listener{{name: "systemd:" + unnamed, network: "tcp", address: l.address, bound: l.bound, fd: l.fd, external: true}}
	m := &Master{passed: p}
	kept, keys := map[*listener]listener{}, map[string]bool{}
	for range 2 { // a reload keeps them
		got, err := m.bind(context.Background(), Generation{}, kept)
		if err != nil || len(got.listeners) != 3 {
			t.Fatalf("bound %v, %v; want all three", got.listeners, err)
		}
		for _, l := range got.listeners {
			kept[l], keys[got.as[l].key] = *l, true
		}
	}
	if len(kept) != 3 || len(keys) != 3 {
		t.Errorf("the keys are not their own: %v, %v", kept, keys)
	}
	if got := (&passedSockets{}).addresses(nil); len(got) != 1 || got[0] != DefaultListen {
		t.Errorf("without passed sockets: %v, want %s", got, DefaultListen)
	}
}

func TestTheErrorNamesTheSystemdSocketWithThePort(t *testing.T) {
	p := passedFrom(t, "tcp://:0")
	_, port, err := net.SplitHostPort(p.units["web"][0].address)
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"tcp4://:" + port, "tcp4://127.0.0.1:" + port} {
		b := newBinder(false, nil, p)
		got, err := b.bind(context.Background(), []string{address})
		if err == nil || !strings.Contains(err.Error(), `"systemd:web" or "tcp://:`+port+`"`) {
			t.Errorf("%s is bound to %v, %v; want the names that work", address, got, err)
		}
	}
	p = passedFrom(t, "tcp4://127.0.0.1:0")
	at := p.units["web"][0].address
	_, err = newBinder(false, nil, p).bind(context.Background(), []string{"tcp4://:" + at[strings.LastIndex(at, ":")+1:]})
	if err == nil || !strings.Contains(err.Error(), `"systemd:web" or "tcp://`+at+`"`) {
		t.Errorf("got %v, want the names that work", err)
	}
}

func TestAddrsNameTheSocketsThatSystemdPassed(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "s")
	p := passedFrom(t, "tcp://127.0.0.1:0", "unix://"+path)
	got, err := newBinder(false, nil, p).bind(t.Context(), []string{"systemd:web"})
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan []net.Addr, 1)
	m := New(Options{Ready: func(addrs []net.Addr) { ready <- addrs }})
	m.current = &generation{listeners: got}
	m.noteAddrs()
	for _, addrs := range [][]net.Addr{<-ready, m.Addrs()} {
		for i, l := range p.units["web"] {
			if addrs[i].Network() != l.network || addrs[i].String() != l.address {
				t.Errorf("address %d is %v, want %s", i, addrs[i], l.address)
			}
		}
	}
}
