package metrics

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"prefork/master"
)

// Address is where metrics are served.
type Address struct {
	name    string // as configured
	network string // tcp, tcp4, tcp6 or unix
	address string
}

// ParseAddress reads host:port, tcp://host:port, tcp4://, tcp6:// or
// unix:///path. Without a host it is every address of the machine.
func ParseAddress(name string) (Address, error) {
	scheme, rest, found := strings.Cut(name, "://")
	if !found {
		scheme, rest = "tcp", name
	}
	switch scheme {
	case "unix":
		if !filepath.IsAbs(rest) {
			return Address{}, fmt.Errorf("%q: want an absolute path: unix:///path", name)
		}
		if len(rest) > maxPath {
			return Address{}, fmt.Errorf("%q: the path has %d bytes; a socket's may have %d", name, len(rest), maxPath)
		}
	case "tcp", "tcp4", "tcp6":
		_, port, err := net.SplitHostPort(rest)
		if err != nil {
			return Address{}, fmt.Errorf("%q: want host:port, tcp://host:port or unix:///path", name)
		}
		if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
			return Address{}, fmt.Errorf("%q: port %q is not a number from 0 to 65535", name, port)
		}
	default:
		return Address{}, fmt.Errorf("%q: want host:port, tcp://host:port or unix:///path", name)
	}
	return Address{name: name, network: scheme, address: rest}, nil
}

// maxPath is the room that sockaddr_un has, less the final NUL.
const maxPath = 107

func (a Address) listen() (net.Listener, error) {
	var l net.Listener
	var err error
	if a.network == "unix" {
		l, err = master.ListenUnix(a.address, 0o660)
	} else {
		l, err = net.Listen(a.network, a.address)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("metrics: bind %s: %w; stop the server that holds it or choose another address", a.name, syscall.EADDRINUSE)
	case err != nil:
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return l, nil
}

// limited closes the connections that are too many at once. To let them wait
// would let the idle ones keep Prometheus out, too.
type limited struct {
	net.Listener
	free chan struct{} // has room for as many as there may be
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.free <- struct{}{}:
			return &counted{Conn: c, free: l.free}, nil
		default:
			_ = c.Close()
		}
	}
}

// counted is one of them.
type counted struct {
	net.Conn
	free chan struct{}
	once sync.Once
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.once.Do(func() { <-c.free })
	return c.Conn.Close()
}
