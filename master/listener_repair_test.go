package master

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/testdir"
)

type change struct {
	do   func(fd int) error
	want string
}

// changes are what a process with a copy of the descriptor can change.
var changes = map[string]change{
	"shutdown": {func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) }, wasShut},
	"filter": {func(fd int) error {
		drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]})
	}, wasFiltered},
	"backlog":  {func(fd int) error { return unix.Listen(fd, 0) }, wasShortened},
	"blocking": {func(fd int) error { return unix.SetNonblock(fd, false) }, wasBlocking},
	"reset at each close": {func(fd int) error {
		return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}, "SO_LINGER " + wasChanged},
	"hop limit":    setOption(unix.IPPROTO_IP, unix.IP_MINTTL, 255, "IP_MINTTL"),
	"one hop":      setOption(unix.IPPROTO_IP, unix.IP_TTL, 1, "IP_TTL"),
	"low water":    setOption(unix.SOL_SOCKET, unix.SO_RCVLOWAT, 1<<16, "SO_RCVLOWAT"),
	"no routes":    setOption(unix.SOL_SOCKET, unix.SO_DONTROUTE, 1, "SO_DONTROUTE"),
	"no probes":    setOption(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0, "SO_KEEPALIVE"),
	"pace":         setOption(unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, 100, "SO_MAX_PACING_RATE"),
	"cork":         setOption(unix.IPPROTO_TCP, unix.TCP_CORK, 1, "TCP_CORK"),
	"delay":        setOption(unix.IPPROTO_TCP, unix.TCP_NODELAY, 0, "TCP_NODELAY"),
	"no greeting":  setOption(unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 60, "TCP_DEFER_ACCEPT"),
	"user timeout": setOption(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 1, "TCP_USER_TIMEOUT"),
}

func setOption(level, option, value int, name string) (m change) {
	m.do = func(fd int) error { return unix.SetsockoptInt(fd, level, option, value) }
	m.want = name + " " + wasChanged
	return m
}

func noOthers(*listener) []*listener { return nil }

func TestChangesByAWorkerToAListenerAreUndone(t *testing.T) {
	for name, change := range changes {
		for _, address := range []string{"tcp://127.0.0.1:0", "tcp://:0"} {
			l := bindOne(t, address)
			if wrong, err := l.repair(noOthers); len(wrong) > 0 || err != nil {
				t.Fatalf("%s: untouched, and yet %q, %v", address, wrong, err)
			}
			if err := change.do(l.fd); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			wrong, err := l.repair(noOthers)
			if err != nil || !slices.Equal(wrong, []string{change.want}) {
				t.Errorf("%s on %s: found %q, %v; want %q", name, address, wrong, err, change.want)
			}
			if again, err := l.repair(noOthers); len(again) > 0 || err != nil {
				t.Errorf("%s on %s: not repaired: %q, %v", name, address, again, err)
			}
			for range 3 { // more than a short queue holds
				c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", portOf(t, l)), 5*time.Second)
				if err != nil {
					t.Fatalf("%s on %s: %v", name, address, err)
				}
				t.Cleanup(func() { c.Close() })
			}
			if n := acceptAll(t, l); n != 3 {
				t.Errorf("%s on %s: accepted %d, want 3", name, address, n)
			}
		}
	}
}

// After shutdown(2), a port that the kernel chose is free. listen(2) without
// bind(2) would choose another.
func TestAReloadBeforeTheRepairDoesNotMoveTheListener(t *testing.T) {
	l := bindOne(t, "tcp://127.0.0.1:0")
	if err := unix.Shutdown(l.fd, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	if err := l.update(Address{}, 16); err == nil {
		t.Error("changed a listener that does not listen")
	}
	if wrong, err := l.repair(noOthers); len(wrong) != 1 || err != nil {
		t.Errorf("found %q, %v", wrong, err)
	}
	if at, err := boundTo(l.fd); err != nil || at != l.bound {
		t.Errorf("is at %v, %v; want %v", at, err, l.bound)
	}
}

// A worker may change an option between two samples.
func TestAReloadBeforeTheRepairDoesNotKeepChangedOptions(t *testing.T) {
	l := bindOne(t, "tcp://127.0.0.1:0")
	if err := unix.SetsockoptInt(l.fd, unix.IPPROTO_IP, unix.IP_MINTTL, 255); err != nil {
		t.Fatal(err)
	}
	if err := l.update(Address{}, 16); err != nil {
		t.Fatal(err)
	}
	if wrong, err := l.repair(noOthers); len(wrong) != 1 || err != nil {
		t.Errorf("found %q, %v", wrong, err)
	}
}

// lockFilter attaches a filter to a socket and locks it.
func lockFilter(fd int) error {
	if err := changes["filter"].do(fd); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_LOCK_FILTER, 1)
}

// A locked filter cannot be removed, and a shutdown of a Unix socket cannot be
// undone. A Unix socket cannot be bound to a file again.
func TestAListenerThatCannotBeRepairedIsReplacedOnce(t *testing.T) {
	path, removed := filepath.Join(testdir.Short(t), "s"), filepath.Join(testdir.Short(t), "r")
	for address, harm := range map[string]func(fd int) error{
		"tcp://" + freeAddress(t):                         lockFilter,
		"tcp://:" + strings.Split(freeAddress(t), ":")[1]: lockFilter,
		"tcp://127.0.0.1:0":                               lockFilter,
		"unix://" + path:                                  func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) },
		"unix://" + removed:                               func(int) error { return os.Remove(removed) },
	} {
		g := generationOf(1, "", address)
		r := start(t, Options{Generation: g})
		address0 := r.serves(1).Listeners[0].Address
		if err := r.master.do(context.Background(), func(m *Master) {
			if err := harm(m.current.listeners[0].fd); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
		s := r.until("a reload that replaces it", func(s Status) bool { return s.Generation == 2 && s.State == "running" })
		for _, message := range []string{"listener cannot be repaired", "reloading to replace a listener"} {
			if n := r.log.FilterMessage(message).Len(); n != 1 {
				t.Errorf("%q %d times", message, n)
			}
		}
		if now := s.Listeners[0].Address; now != address0 {
			t.Errorf("moved from %s to %s", address0, now)
		}
		network, at := "tcp", s.Listeners[0].Address
		if at[0] == '/' {
			network = "unix"
		}
		c, err := net.DialTimeout(network, at, 5*time.Second)
		if err != nil || s.Degraded != "" {
			t.Fatalf("dial after the reload: %v; degraded: %q", err, s.Degraded)
		}
		c.Close()
		if err := r.master.do(context.Background(), func(m *Master) { _ = harm(m.current.listeners[0].fd) }); err != nil {
			t.Fatal(err)
		}
		s = r.until("the next one to be seen", func(s Status) bool { return s.Degraded != "" })
		if n := r.log.FilterMessage("listener not replaced, reload to replace it").Len(); n != 1 || s.State != "running" || s.Generation != 2 {
			t.Errorf("a worker that breaks each socket makes the server reload without end: %s, generation %d", s.State, s.Generation)
		}
	}
}

func TestAListenerIsRepairedWhileTheServerRuns(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	s := r.serves(1)
	if err := r.master.do(context.Background(), func(m *Master) {
		if err := unix.Shutdown(m.current.listeners[0].fd, unix.SHUT_RDWR); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	r.until("the repair", func(Status) bool { return r.log.FilterMessage("listener repaired").Len() == 1 })
	c, err := net.Dial("tcp", s.Listeners[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// A process that a worker has started may have a copy of the descriptor.
func TestACopyOfAListenerDoesNotKeepItOpen(t *testing.T) {
	for _, address := range []string{"tcp://127.0.0.1:0", "unix://" + filepath.Join(testdir.Short(t), "s")} {
		l, err := tryBind(address)
		if err != nil {
			t.Fatal(err)
		}
		child, err := unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(child)
		l.close()
		if c, err := net.Dial(l.network, l.address); err == nil {
			c.Close()
			t.Errorf("%s answers after its end", address)
		}
		next := "tcp://" + l.address
		if l.network == "unix" {
			next = address
		}
		bindOne(t, next)
	}
}

// The copy in the service manager's store is for the next master.
func TestAStoredListenerOutlivesItsMaster(t *testing.T) {
	l, err := tryBind("tcp://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	store, err := unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(store)
	l.stored = true
	l.close()
	c, err := net.Dial("tcp", l.address)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
