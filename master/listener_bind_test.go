package master

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testdir"
)

// knownOf returns the open listeners as a reload finds them.
func knownOf(all ...*listener) map[*listener]listener { return keep(slices.Values(all)) }

func portOf(t *testing.T, l *listener) string {
	t.Helper()
	_, port, err := net.SplitHostPort(l.address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// rebind reloads to address while the listeners are open.
func rebind(t *testing.T, address string, open ...*listener) *listener {
	t.Helper()
	all, err := newBinder(false, knownOf(open...), &passedSockets{}).bind(context.Background(), []string{address})
	if err != nil || len(all) != 1 {
		t.Fatalf("bind %s beside what is open: %v, %v", address, all, err)
	}
	l := all[0]
	if !l.listening {
		t.Cleanup(l.close)
		if err := l.listen(16, open); err != nil {
			t.Fatalf("listen at %s beside what is open: %v", address, err)
		}
	}
	return l
}

func TestASocketIsKeptForAnySpellingOfItsAddress(t *testing.T) {
	dir := testdir.Short(t)
	for _, tt := range []struct{ first, then string }{
		{"tcp://127.0.0.1:0", "tcp4://127.0.0.1:PORT"},
		{"tcp4://127.0.0.1:0", "tcp://localhost.localdomain:PORT"},
		{"tcp4://:0", "tcp://0.0.0.0:PORT"},
		{"tcp://[::1]:0", "tcp6://[0:0::1]:PORT"},
		{"tcp://:0", "tcp://[::]:PORT"},
		{"tcp://127.0.0.1:0", "tcp4://127.0.0.1:0"},
		{"unix://" + dir + "/s", "unix://" + dir + "/./s"},
		{"unix:@" + dir, "unix://@" + dir},
	} {
		first, err := tryBind(tt.first)
		if addressMissing(err) {
			t.Logf("no %s on this machine: %v", tt.first, err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(first.close)
		then := tt.then
		if first.network == "tcp" {
			then = strings.Replace(then, "PORT", portOf(t, first), 1)
		}
		if host, ok := strings.CutPrefix(then, "tcp://localhost.localdomain:"); ok {
			if ips, err := net.LookupIP("localhost"); err != nil || len(ips) != 1 {
				t.Logf("localhost is not one address here: %v, %v", ips, err)
				continue
			}
			then = "tcp://localhost:" + host
		}
		all, err := newBinder(false, knownOf(first), &passedSockets{}).bind(context.Background(), []string{then})
		if err != nil || len(all) != 1 || all[0] != first {
			t.Errorf("%s, open as %s: %v, %v; want the open socket", then, tt.first, all, err)
		}
	}
}

// A change from one address to the wildcard and back refuses no client. Both
// sockets listen until the old generation is gone, each with its own queue.
func TestAReloadChangesBetweenOneAddressAndTheWildcard(t *testing.T) {
	for _, all := range []string{"tcp4://:", "tcp://:"} {
		one := bindOne(t, "tcp://127.0.0.1:0")
		at := one.address
		dial := func() {
			t.Helper()
			c, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
		}
		dial()
		wildcard := rebind(t, all+portOf(t, one), one)
		dial()
		if n := acceptAll(t, one); n != 2 {
			t.Errorf("%d waited for the old one, want 2", n)
		}
		dial()
		if err := one.divert(); err != nil {
			t.Fatal(err)
		}
		dial()
		if first, second := acceptAll(t, one), acceptAll(t, wildcard); first != 1 || second != 1 {
			t.Errorf("%d waited for the diverted one and %d for the new one, want one each", first, second)
		}
		again := rebind(t, "tcp://"+at, one, wildcard)
		if again == one {
			t.Fatal("a diverted listener was kept")
		}
		dial()
		one.close()
		dial()
		if n := acceptAll(t, again); n != 2 {
			t.Errorf("%d waited for the third, want 2", n)
		}
		again.close()
		dial()
		if n := acceptAll(t, wildcard); n != 1 {
			t.Errorf("%d waited for the wildcard, want 1", n)
		}
		if on, err := unix.GetsockoptInt(wildcard.fd, unix.SOL_SOCKET, unix.SO_REUSEPORT); err != nil || on != 0 {
			t.Errorf("SO_REUSEPORT is %d, %v: others of this user could join", on, err)
		}
	}
}

// Our own sockets at an address do not hide another server's.
func TestAnAddressOfAnotherServerIsRefused(t *testing.T) {
	ours := bindOne(t, "tcp://127.0.0.1:0")
	theirs, err := tryBind("tcp://127.0.0.2:" + portOf(t, ours))
	if err != nil {
		t.Skipf("no second address on this machine: %v", err)
	}
	t.Cleanup(theirs.close)
	_, err = newBinder(false, knownOf(ours), &passedSockets{}).bind(context.Background(), []string{"tcp4://:" + portOf(t, ours)})
	if !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), "by this server's "+ours.bound.String()+" or by another server") {
		t.Errorf("bind = %v; want the possible owner of the address", err)
	}
}

// wantsOf returns the listeners for a host name with these addresses.
func wantsOf(name string, ips ...string) []socketSpec {
	a, err := ParseAddress("tcp://" + name + ":0")
	if err != nil {
		panic(err)
	}
	var wants []socketSpec
	for _, ip := range ips {
		wants = append(wants, socketSpec{served: served{a, a.Name + "#" + ip}, at: endpoint{ip: netip.MustParseAddr(ip)}})
	}
	return wants
}

func TestAddressesThatTheMachineDoesNotHaveAreSkipped(t *testing.T) {
	const nowhere = "203.0.113.1" // TEST-NET-3
	b := newBinder(false, nil, &passedSockets{})
	b.open(wantsOf("host", nowhere, "127.0.0.1"))
	t.Cleanup(func() {
		for _, l := range b.opened {
			l.close()
		}
	})
	if len(b.problems) > 0 || len(b.all) != 1 || b.all[0].bound.ip.String() != "127.0.0.1" {
		t.Fatalf("bound %v, %v; want the address that is here", b.all, b.problems)
	}
	if len(b.skipped) != 1 || b.skipped[0].address != nowhere+":0" || b.skipped[0].listener != "tcp://host:0" {
		t.Errorf("left out %v", b.skipped)
	}
	b = newBinder(false, nil, &passedSockets{})
	b.open(wantsOf("host", nowhere, "203.0.113.2"))
	if len(b.problems) != 2 || !strings.Contains(b.problems[0].Error(), "tcp://host:0 at "+nowhere+":0") {
		t.Errorf("problems %v; want each address with its error", b.problems)
	}
	taken := bindOne(t, "tcp://127.0.0.1:0")
	b = newBinder(false, nil, &passedSockets{})
	wants := wantsOf("host", "127.0.0.1")
	wants[0].at.port = taken.bound.port
	b.open(wants)
	if len(b.problems) != 1 || !strings.Contains(b.problems[0].Error(), "at "+taken.address) {
		t.Errorf("problems %v; want the address that is taken", b.problems)
	}
}

// Several servers that start at once may all see the stale file of an earlier
// server. Only one of them may get the path.
func TestOnlyOneOfSeveralServersGetsTheSocketPath(t *testing.T) {
	dir := testdir.Short(t)
	for round := range 200 {
		path := filepath.Join(dir, strconv.Itoa(round))
		stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
		if err != nil {
			t.Fatal(err)
		}
		stale.SetUnlinkOnClose(false)
		stale.Close()
		a, err := ParseAddress("unix://" + path)
		if err != nil {
			t.Fatal(err)
		}
		const servers = 4
		type outcome struct {
			l   *listener
			err error
		}
		begin, outcomes := make(chan struct{}), make(chan outcome, servers)
		for range servers {
			go func() {
				<-begin
				l, err := bindUnix(a)
				outcomes <- outcome{l, err}
			}()
		}
		close(begin)
		var one *listener
		var errs []error
		for range servers {
			o := <-outcomes
			errs = append(errs, o.err)
			switch {
			case o.err == nil && one == nil:
				one = o.l
			case o.err == nil:
				t.Fatalf("round %d: two servers have %s", round, path)
			case !errors.Is(o.err, unix.EADDRINUSE):
				t.Errorf("round %d: %v, want EADDRINUSE", round, o.err)
			}
		}
		if one == nil {
			t.Fatalf("round %d: no server has %s: %v", round, path, errs)
		}
		if err := one.listen(1, nil); err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		c.Close()
		one.close()
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A socket that is bound but does not listen yet belongs to a starting server.
func TestTheSocketOfAStartingServerIsNotStale(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "s")
	a, err := ParseAddress("unix://" + path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := bindUnix(a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	if _, err := bindUnix(a); !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), "starting") {
		t.Errorf("bind = %v; want a refusal", err)
	}
}

// Workers of a dead master finish their connections, which have the path of the
// listener. A process that they started may hold the listener itself. In both
// cases the next server starts.
func TestASocketFileOfADeadServerIsReplaced(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "s")
	a, err := ParseAddress("unix://" + path)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	client, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	served, err := dead.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer served.Close()
	left, err := dead.File()
	if err != nil {
		t.Fatal(err)
	}
	defer left.Close()
	if err := unix.Shutdown(int(left.Fd()), unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	dead.Close()
	l, err := bindUnix(a)
	if err != nil {
		t.Fatal(err)
	}
	l.close()
}
