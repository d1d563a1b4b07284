package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

type target struct {
	network string // "tcp" or "unix"
	address string // host:port, or a path
	http    bool
	host    string // of the request
	path    string // of the request, with its query
}

func parseTarget(text string) (target, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if _, _, err := net.SplitHostPort(text); !found && err == nil && !strings.Contains(text, "/") {
		scheme, rest = "tcp", text
	} else if !found {
		return target{}, fmt.Errorf("url: want tcp://host:port, unix:///path or http://host:port/path, not %q", text)
	}
	switch scheme {
	case "unix":
		return unixTarget(rest)
	case "http+unix":
		socket, path, _ := strings.Cut(rest, "/")
		socket, err := url.PathUnescape(socket)
		if err != nil {
			return target{}, fmt.Errorf("url: %w", err)
		}
		t, err := unixTarget(socket)
		t.http, t.host, t.path = true, "localhost", "/"+path
		return t, err
	case "tcp":
		if strings.HasPrefix(rest, ":") {
			rest = "localhost" + rest
		}
		return target{network: "tcp", address: rest}, checkHostPort(rest)
	case "http":
		host, path := rest, "/"
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			host, path = rest[:i], "/"+strings.TrimPrefix(rest[i:], "/")
		}
		path, _, _ = strings.Cut(path, "#")
		if strings.ContainsAny(path, " \t\r\n\x00") || len(path) > maxHeader {
			return target{}, fmt.Errorf("url: a path without blanks, of %d bytes at most", maxHeader)
		}
		t := target{network: "tcp", address: host, http: true, host: host, path: path}
		if _, _, err := net.SplitHostPort(host); err != nil {
			t.address = net.JoinHostPort(strings.Trim(host, "[]"), "80")
		}
		return t, checkHostPort(t.address)
	case "https":
		return target{}, errors.New("url: https is not supported; point it at the backend behind your TLS proxy")
	}
	return target{}, fmt.Errorf("url: want tcp, unix or http, not %q", scheme)
}

func unixTarget(path string) (target, error) {
	var raw unix.RawSockaddrUnix
	if len(path) < 2 || path[0] != '/' && path[0] != '@' || len(path) >= len(raw.Path) {
		return target{}, fmt.Errorf("url: want an absolute path of a socket, of %d bytes at most, not %q", len(raw.Path)-1, path)
	}
	return target{network: "unix", address: path}, nil
}

func checkHostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || port == "" {
		return fmt.Errorf("url: want host:port, not %q", s)
	}
	if strings.ContainsAny(s, " /@?#\r\n") {
		return fmt.Errorf("url: want host:port, not %q", s)
	}
	return nil
}

// sockaddr is an address as the kernel reads it.
type sockaddr struct {
	family int
	raw    unix.RawSockaddrAny
	size   uintptr
}

func ipSockaddr(a netip.AddrPort) sockaddr {
	var s sockaddr
	port := a.Port()<<8 | a.Port()>>8 // network order
	if a.Addr().Unmap().Is4() {
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		in.Family, in.Port, in.Addr = unix.AF_INET, port, a.Addr().Unmap().As4()
		s.family, s.size = unix.AF_INET, unix.SizeofSockaddrInet4
		return s
	}
	in := (*unix.RawSockaddrInet6)(unsafe.Pointer(&s.raw))
	in.Family, in.Port, in.Addr = unix.AF_INET6, port, a.Addr().As16()
	if zone := a.Addr().Zone(); zone != "" {
		if i, err := net.InterfaceByName(zone); err == nil {
			in.Scope_id = uint32(i.Index)
		}
	}
	s.family, s.size = unix.AF_INET6, unix.SizeofSockaddrInet6
	return s
}

// unixSockaddr makes one of a path, or of an abstract name that begins with @.
func unixSockaddr(path string) sockaddr {
	var s sockaddr
	un := (*unix.RawSockaddrUnix)(unsafe.Pointer(&s.raw))
	un.Family = unix.AF_UNIX
	for i := range len(path) {
		un.Path[i] = int8(path[i])
	}
	s.family, s.size = unix.AF_UNIX, 2+uintptr(len(path))+1
	if path[0] == '@' {
		un.Path[0] = 0
		s.size--
	}
	return s
}

// resolve looks the target up, once. Of the addresses of a name it takes the
// first that accepts a connection, so that "localhost" finds a server of either
// family.
func (t target) resolve(ctx context.Context) (sockaddr, netip.AddrPort, error) {
	if t.network == "unix" {
		return unixSockaddr(t.address), netip.AddrPort{}, nil
	}
	address, err := netip.ParseAddrPort(t.address)
	if err != nil {
		found, err := net.ResolveTCPAddr("tcp", t.address)
		if err != nil {
			return sockaddr{}, netip.AddrPort{}, fmt.Errorf("resolve target: %w", err)
		}
		dialer := net.Dialer{Timeout: time.Second}
		if conn, err := dialer.DialContext(ctx, "tcp", t.address); err == nil {
			found = conn.RemoteAddr().(*net.TCPAddr)
			_ = conn.Close()
		}
		address = found.AddrPort()
	}
	address = netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
	return ipSockaddr(address), address, nil
}
