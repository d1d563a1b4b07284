package systemd_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testdir"
	"prefork/systemd"
)

// socket opens a socket and binds it to sa, which may be nil.
func socket(t *testing.T, family, kind int, sa unix.Sockaddr, listen bool) int {
	t.Helper()
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if family == unix.AF_INET6 && kind == unix.SOCK_DGRAM {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			t.Fatal(err)
		}
	}
	if sa != nil {
		if err := unix.Bind(fd, sa); err != nil {
			t.Fatal(err)
		}
	}
	if listen {
		if err := unix.Listen(fd, 1); err != nil {
			t.Fatal(err)
		}
	}
	return fd
}

func TestInspectDescribesEachKindOfSocket(t *testing.T) {
	checkDescriptors(t)
	path := filepath.Join(testdir.Short(t), "s")
	loopback4 := [4]byte{127, 0, 0, 1}
	loopback6 := [16]byte{15: 1}
	for name, test := range map[string]struct {
		fd      int
		network string
		address string // a prefix
		listens bool
		stream  bool
		dual    bool
		says    string
	}{
		"tcp4 listener": {fd: socket(t, unix.AF_INET, unix.SOCK_STREAM, &unix.SockaddrInet4{Addr: loopback4}, true),
			network: "tcp4", address: "127.0.0.1:", listens: true, stream: true, says: "tcp4 127.0.0.1:"},
		"tcp4 bound": {fd: socket(t, unix.AF_INET, unix.SOCK_STREAM, &unix.SockaddrInet4{Addr: loopback4}, false),
			network: "tcp4", address: "127.0.0.1:", says: "tcp4 127.0.0.1:"},
		"udp4": {fd: socket(t, unix.AF_INET, unix.SOCK_DGRAM, &unix.SockaddrInet4{Addr: loopback4}, false),
			network: "udp4", address: "127.0.0.1:", says: "udp4 127.0.0.1:"},
		"tcp6 listener": {fd: socket(t, unix.AF_INET6, unix.SOCK_STREAM, &unix.SockaddrInet6{Addr: loopback6}, true),
			network: "tcp6", address: "[::1]:", listens: true, stream: true, says: "tcp6 [::1]:"},
		"both families": {fd: socket(t, unix.AF_INET6, unix.SOCK_STREAM, &unix.SockaddrInet6{}, false),
			network: "tcp6", address: "[::]:", dual: true, says: "tcp6 [::]:"},
		"udp6": {fd: socket(t, unix.AF_INET6, unix.SOCK_DGRAM, &unix.SockaddrInet6{Addr: loopback6}, false),
			network: "udp6", address: "[::1]:", says: "udp6 [::1]:"},
		"unix listener": {fd: socket(t, unix.AF_UNIX, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: path}, true),
			network: "unix", address: path, listens: true, stream: true, says: "unix " + path + ", listening"},
		"unix abstract": {fd: socket(t, unix.AF_UNIX, unix.SOCK_DGRAM, &unix.SockaddrUnix{Name: "@prefork-inspect-test"}, false),
			network: "unixgram", address: "@prefork-inspect-test", says: "unixgram @prefork"},
		"unix unbound": {fd: socket(t, unix.AF_UNIX, unix.SOCK_SEQPACKET, nil, false),
			network: "unixpacket", says: "unbound unixpacket"},
		"netlink": {fd: socket(t, unix.AF_NETLINK, unix.SOCK_RAW, nil, false),
			network: "socket(family 16, type 3, protocol 0)", says: "socket(family 16, type 3, protocol 0)"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := systemd.Inspect(test.fd)
			if err != nil {
				t.Fatal(err)
			}
			if s.Network != test.network || s.Listens != test.listens || s.Stream() != test.stream || s.DualStack != test.dual {
				t.Errorf("got %#v", s)
			}
			if !strings.HasPrefix(s.Address, test.address) || (test.address == "" && s.Address != "") {
				t.Errorf("got address %q, want %q", s.Address, test.address)
			}
			if !strings.Contains(s.String(), test.says) {
				t.Errorf("description %q, want %q", s, test.says)
			}
		})
	}
}

func TestInspectRefusesOtherDescriptors(t *testing.T) {
	checkDescriptors(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = null.Close() })
	if _, err := systemd.Inspect(int(null.Fd())); !errors.Is(err, systemd.ErrNotSocket) {
		t.Errorf("a file: got error %v, want ErrNotSocket", err)
	}
	if _, err := systemd.Inspect(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("nothing: got error %v, want EBADF", err)
	}
}
