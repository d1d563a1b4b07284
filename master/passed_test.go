package master

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// passedFrom is what a socket unit called web has opened.
func passedFrom(t *testing.T, addresses ...string) *passedSockets {
	t.Helper()
	p := &passedSockets{units: map[string][]*listener{}}
	for _, a := range addresses {
		l := bindOne(t, a)
		p.units["web"] = append(p.units["web"], &listener{
			name: "systemd:web", network: l.network, address: l.address, fd: l.fd, external: true,
		})
	}
	return p
}

func TestASocketThatSystemdOpenedIsTakenByItsAddress(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	p := passedFrom(t, "tcp://127.0.0.1:0", "tcp4://:0", "tcp6://[::1]:0", "unix://"+path)
	sockets := p.units["web"]
	for i, address := range []string{
		"tcp://" + sockets[0].address,
		"tcp://:" + sockets[1].address[strings.LastIndex(sockets[1].address, ":")+1:],
		"tcp6://" + sockets[2].address,
		"unix://" + path,
	} {
		b := newBinder(16, false, nil, p)
		got, err := b.bind(context.Background(), []string{address})
		if err != nil || len(got) != 1 || got[0] != sockets[i] {
			t.Errorf("%s is bound to %v, %v; want the unit's socket", address, got, err)
			continue
		}
		if got[0].key != address {
			t.Errorf("%s has key %q", address, got[0].key)
		}
	}
}

func TestASocketIsNotServedTwice(t *testing.T) {
	p := passedFrom(t, "tcp://127.0.0.1:0")
	address := "tcp://" + p.units["web"][0].address
	for _, addresses := range [][]string{{address, "systemd:web"}, {"systemd:web", address}} {
		b := newBinder(16, false, nil, p)
		if got, err := b.bind(context.Background(), addresses); err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Errorf("%v is bound to %v, %v; want a refusal", addresses, got, err)
		}
	}
}
