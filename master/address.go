package master

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// Address is one parsed listen address.
type Address struct {
	Name    string // as configured, options aside: what status and logs show
	Network string // tcp, tcp4, tcp6, unix or systemd
	Host    string // of tcp; empty means every address
	Port    int
	Path    string // of unix; a leading @ is the abstract namespace
	Label   string // of systemd: the socket's FileDescriptorName

	Mode     uint32 // of a unix socket's file, if HasMode
	HasMode  bool
	UID, GID int // of a unix socket's file; -1 leaves them
}

// schemes are what a listen address may begin with.
var schemes = []string{"tcp", "tcp4", "tcp6", "unix", "systemd"}

// ParseAddress reads a listen address:
//
//	tcp://host:port    IPv4 or IPv6; with no host both, on one socket
//	host:port          the same, with a number for the port
//	tcp4://host:port   IPv4 only
//	tcp6://host:port   IPv6 only
//	unix:///path       a stream socket; ?mode=0660&owner=user&group=group
//	unix:@name         a stream socket in the abstract namespace
//	systemd:NAME       the sockets that systemd passed under this name
func ParseAddress(s string) (Address, error) {
	bad := func(format string, args ...any) (Address, error) {
		return Address{}, fmt.Errorf("listen address %q: %w", s, fmt.Errorf(format, args...))
	}
	name := s
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok {
		return bad("no scheme; write tcp://host:port, unix:///path or systemd:NAME")
	}
	_, port, err := net.SplitHostPort(s)
	if isNumber := port != "" && strings.Trim(port, "0123456789") == ""; err == nil && isNumber && !slices.Contains(schemes, scheme) {
		scheme, rest, name = "tcp", "//"+s, "tcp://"+s
	}
	a := Address{Network: scheme, UID: -1, GID: -1}
	switch scheme {
	case "tcp", "tcp4", "tcp6":
		hostport, found := strings.CutPrefix(rest, "//")
		if !found {
			return bad("write %s://host:port", scheme)
		}
		host, port, err := net.SplitHostPort(hostport)
		if err != nil {
			var addrErr *net.AddrError
			if errors.As(err, &addrErr) {
				return bad("%s; write %s://host:port", addrErr.Err, scheme)
			}
			return bad("%w", err)
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return bad("port %q is not a number from 0 to 65535", port)
		}
		a.Host, a.Port, a.Name = host, int(n), name
		return a, nil
	case "unix":
		path, query, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "?")
		if path == "" || path[0] != '/' && path[0] != '@' {
			return bad("the path must be absolute; write unix:///run/name.sock")
		}
		if len(path) > maxUnixPath {
			return bad("the path has %d bytes, at most %d", len(path), maxUnixPath)
		}
		a.Path, a.Name = path, "unix://"+path
		if err := a.parseFileOptions(query); err != nil {
			return bad("%w", err)
		}
		return a, nil
	case "systemd":
		if rest == "" {
			return bad("no name; write systemd:NAME with the socket unit's FileDescriptorName")
		}
		a.Label, a.Name = rest, s
		return a, nil
	}
	return bad("unknown scheme %q; want tcp, tcp4, tcp6, unix or systemd, or host:port with a number", scheme)
}

// maxUnixPath is the room in sockaddr_un, its closing NUL aside.
const maxUnixPath = 107

func (a *Address) parseFileOptions(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return err
	}
	for key, list := range values {
		value := list[len(list)-1]
		switch key {
		case "mode":
			n, err := strconv.ParseUint(value, 8, 12)
			if err != nil {
				return fmt.Errorf("mode %q is not an octal file mode such as 0660", value)
			}
			a.Mode, a.HasMode = uint32(n), true
		case "owner", "group":
			id, err := lookupID(key, value)
			if err != nil {
				return fmt.Errorf("%s %q: %w", key, value, err)
			}
			if key == "owner" {
				a.UID = id
			} else {
				a.GID = id
			}
		default:
			return fmt.Errorf("unknown option %q; want mode, owner or group", key)
		}
	}
	return nil
}

// lookupID returns the number of an owner or a group.
func lookupID(kind, name string) (int, error) {
	if n, err := strconv.Atoi(name); err == nil && n >= 0 {
		return n, nil
	}
	if kind == "owner" {
		u, err := user.Lookup(name)
		if err != nil {
			return -1, err
		}
		return strconv.Atoi(u.Uid)
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(g.Gid)
}
