package metrics

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"prefork/master"
)

// Address is where metrics are served.
type Address struct{ master.Address }

// ParseAddress reads host:port, tcp://host:port, tcp4://, tcp6:// or
// unix:///path. Without a host it is every address of the machine.
func ParseAddress(name string) (Address, error) {
	const want = "want host:port, tcp://host:port or unix:///path"
	a, err := master.ParseAddress(name)
	switch {
	case err != nil && strings.Contains(name, "://"):
		return Address{}, fmt.Errorf("%q: %s: %w", name, want, errors.Unwrap(err))
	case err != nil || a.Network == "systemd" || a.Network == "unix" && (a.Path[0] != '/' || strings.Contains(name, "?")):
		return Address{}, fmt.Errorf("%q: %s", name, want)
	}
	return Address{a}, nil
}

func (a Address) listen() (net.Listener, error) {
	var l net.Listener
	var err error
	if a.Network == "unix" {
		l, err = master.ListenUnix(a.Path, 0o660)
	} else {
		l, err = net.Listen(a.Network, net.JoinHostPort(a.Host, strconv.Itoa(a.Port)))
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("metrics: bind %s: %w; stop the server that holds it or choose another address", a.Name, syscall.EADDRINUSE)
	case err != nil:
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return l, nil
}

// limited closes the connections that are too many at once. If they waited, idle
// ones could keep Prometheus out.
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
