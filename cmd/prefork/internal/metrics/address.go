package metrics

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"

	"prefork/master"
)

// ParseAddress reads host:port, tcp://host:port, tcp4://, tcp6:// or
// unix:///path. Without a host it is every address of the machine.
func ParseAddress(name string) (master.Address, error) {
	const want = "want host:port, tcp://host:port or unix:///path"
	a, err := master.ParseAddress(name)
	switch {
	case err != nil && strings.Contains(name, "://"):
		return master.Address{}, fmt.Errorf("%q: %s: %w", name, want, errors.Unwrap(err))
	case err != nil || a.Network == "systemd" || a.Network == "unix" && (a.Path[0] != '/' || strings.Contains(name, "?")):
		return master.Address{}, fmt.Errorf("%q: %s", name, want)
	}
	return a, nil
}

func listen(a master.Address) (net.Listener, error) {
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
