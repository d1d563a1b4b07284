package master

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/testdir"
)

func bindOne(t *testing.T, address string) *listener {
	t.Helper()
	l, err := tryBind(address)
	if err != nil {
		t.Fatalf("bind %s: %v", address, err)
	}
	t.Cleanup(l.close)
	return l
}

func tryBind(addresses ...string) (*listener, error) {
	all, err := newBinder(false, nil, &passedSockets{}).bind(context.Background(), addresses)
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		if err := l.listen(16, nil); err != nil {
			return nil, err
		}
	}
	return all[0], nil
}

// acceptAll accepts all queued connections without waiting.
func acceptAll(t *testing.T, l *listener) (n int) {
	t.Helper()
	for {
		fd, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EAGAIN) {
			return n
		}
		if err != nil {
			t.Fatalf("accept: %v", err)
		}
		_ = unix.Close(fd)
		n++
	}
}

func TestListenersAreNonBlockingAndCloseOnExec(t *testing.T) {
	for _, address := range []string{"tcp://127.0.0.1:0", "unix://" + filepath.Join(testdir.Short(t), "s")} {
		l := bindOne(t, address)
		flags, err := unix.FcntlInt(uintptr(l.fd), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("%s: flags %#x, %v; want O_NONBLOCK", address, flags, err)
		}
		fdFlags, err := unix.FcntlInt(uintptr(l.fd), unix.F_GETFD, 0)
		if err != nil || fdFlags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s: descriptor flags %#x, %v; want FD_CLOEXEC", address, fdFlags, err)
		}
	}
}

func TestAcceptedSocketsInheritNoDelay(t *testing.T) {
	l := bindOne(t, "tcp://127.0.0.1:0")
	c, err := net.Dial("tcp", l.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fd, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if v, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); err != nil || v == 0 {
		t.Errorf("TCP_NODELAY of an accepted socket = %d, %v; want set", v, err)
	}
}

func TestDualStackSocketAcceptsBothFamilies(t *testing.T) {
	l, err := tryBind("tcp://:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	_, port, err := net.SplitHostPort(l.address)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), 5*time.Second)
		if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.ENETUNREACH) {
			t.Logf("no %s on this machine: %v", host, err)
			continue
		}
		if err != nil {
			t.Errorf("dial %s: %v", host, err)
			continue
		}
		c.Close()
	}
}

// A quiesced listener accepts no new handshakes, but queued connections can
// still be accepted. So a stop drops no completed connection.
func TestQuiesceKeepsTheQueueAndRefusesNewHandshakes(t *testing.T) {
	l := bindOne(t, "tcp://127.0.0.1:0")
	for range 3 {
		c, err := net.Dial("tcp", l.address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if n := l.queued(); n != 3 {
		t.Errorf("queued() = %d, want 3", n)
	}
	if err := l.quiesce(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.DialTimeout("tcp", l.address, 50*time.Millisecond); err == nil {
		c.Close()
		t.Error("a handshake completed on a quiesced listener")
	}
	if n := acceptAll(t, l); n != 3 {
		t.Errorf("accepted %d queued connections, want 3", n)
	}
	if err := l.reopen(); err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTimeout("tcp", l.address, 5*time.Second)
	if err != nil {
		t.Fatalf("dial a reopened listener: %v", err)
	}
	c.Close()
}

// There are two ways to stop handshakes. The second is for kernels that allow
// the first only with privileges.
func TestHandshakesThatHaveBegunEndOnAQuiescedListener(t *testing.T) {
	for _, address := range []string{"tcp://127.0.0.1:0", "tcp6://[::1]:0", "tcp://:0"} {
		for name, stop := range map[string]func(l *listener) error{
			"filter":    (*listener).filterSYN,
			"hop limit": func(l *listener) error { return l.limitHops(maxHops) },
		} {
			l, err := tryBind(address)
			if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) {
				t.Logf("no %s on this machine: %v", address, err)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			defer l.close()
			queued, err := net.Dial("tcp", l.address)
			if err != nil {
				t.Fatal(err)
			}
			defer queued.Close()
			if err := stop(l); errors.Is(err, unix.EPERM) {
				t.Logf("%s: %v", name, err)
				continue
			} else if err != nil {
				t.Fatalf("%s on %s: %v", name, address, err)
			}
			if c, err := net.DialTimeout("tcp", l.address, 50*time.Millisecond); err == nil {
				c.Close()
				t.Errorf("%s on %s: a handshake completed", name, address)
			}
			if n := acceptAll(t, l); n != 1 {
				t.Errorf("%s on %s: accepted %d queued connections, want 1", name, address, n)
			}
			l.quiesced = true
			if err := l.reopen(); err != nil {
				t.Fatalf("%s on %s: %v", name, address, err)
			}
			c, err := net.DialTimeout("tcp", l.address, 5*time.Second)
			if err != nil {
				t.Fatalf("%s on %s: dial after reopen: %v", name, address, err)
			}
			c.Close()
		}
	}
}

func TestQuiesceUnixRemovesTheNameAndKeepsTheQueue(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "s")
	l := bindOne(t, "unix://"+path)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := l.quiesce(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stat %s = %v, want no file", path, err)
	}
	if n := acceptAll(t, l); n != 1 {
		t.Errorf("accepted %d queued connections, want 1", n)
	}
}

func TestOnlyAStaleUnixSocketIsReplaced(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()

	live := bindOne(t, "unix://"+path)
	if _, err := tryBind("unix://" + path); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("bind over a live socket = %v, want EADDRINUSE", err)
	}
	live.close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stat after close = %v, want no file", err)
	}

	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tryBind("unix://" + path); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("bind over a file = %v, want a refusal", err)
	}
}

func TestCloseLeavesAnotherServersSocketFile(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "s")
	old := bindOne(t, "unix://"+path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	bindOne(t, "unix://"+path)
	old.close()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the new server's socket file: %v", err)
	}
}

func TestUnixSocketHasItsModeWhateverTheUmask(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	path := filepath.Join(testdir.Short(t), "s")
	bindOne(t, "unix://"+path+"?mode=0662")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o662 {
		t.Errorf("mode = %v, %v; want 0662", info.Mode().Perm(), err)
	}
}

func TestBindReportsEveryProblemAndKeepsNothingOpen(t *testing.T) {
	taken := bindOne(t, "tcp://127.0.0.1:0")
	before := countFDs(t)
	_, err := tryBind("tcp://127.0.0.1:0", "tcp://"+taken.address, "bogus", "tcp4://[::1]:0")
	if err == nil {
		t.Fatal("bind succeeded")
	}
	for _, want := range []string{"address already in use", "no scheme", "is not an address of tcp4"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
	if after := countFDs(t); after != before {
		t.Errorf("%d descriptors open, want %d", after, before)
	}
}

func TestBindKeepsWhatIsOpen(t *testing.T) {
	first := bindOne(t, "tcp://127.0.0.1:0")
	b := newBinder(false, map[*listener]listener{first: *first}, &passedSockets{})
	all, err := b.bind(context.Background(), []string{"tcp://127.0.0.1:0"})
	if err != nil || all[0] != first {
		t.Errorf("bind = %v, %v; want the open listener", all, err)
	}
}

func countFDs(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestBrieflyDoesNotWaitLong(t *testing.T) {
	never, ran := make(chan struct{}), make(chan struct{})
	defer close(never)
	briefly(func() { <-never })
	briefly(func() { close(ran) })
	<-ran
}
