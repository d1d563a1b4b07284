package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"prefork/cmd/prefork/internal/config"
	"prefork/internal/unit"
	"prefork/master"
)

func (f *unitFlags) socketUnit(c config.Config, addresses []master.Address) (string, error) {
	o := unit.Socket{Name: f.name, Backlog: c.RequestQueueSize}
	err := f.socketSettings(&o, addresses)
	if err != nil {
		return "", &usageError{"prefork unit", err}
	}
	text, err := o.Text()
	if err != nil {
		return "", &usageError{"prefork unit", err}
	}
	return text, nil
}

// socketSettings fills in the addresses. A unit has one mode, one owner and one
// meaning of [::] for all of its sockets.
func (f *unitFlags) socketSettings(o *unit.Socket, addresses []master.Address) error {
	var first *master.Address // of those with a file
	for i, a := range addresses {
		stream, err := listenStream(a)
		if err != nil {
			return err
		}
		o.Listen = append(o.Listen, literal(stream))
		if every := a.Host == "" || a.Host == "::"; every && (a.Network == "tcp" || a.Network == "tcp6") {
			only := map[string]string{"tcp": "both", "tcp6": "ipv6-only"}[a.Network]
			if o.BindIPv6Only != "" && o.BindIPv6Only != only {
				return errors.New("a socket unit opens all addresses for IPv6 alone or for both, and listen has tcp6:// and tcp:// without a host; write a unit for each")
			}
			o.BindIPv6Only = only
		}
		if a.Network != "unix" || a.Path[0] == '@' {
			continue
		}
		if first == nil {
			first = &addresses[i]
			fileSettings(o, a)
		}
		if a.HasMode != first.HasMode || a.Mode != first.Mode || a.UID != first.UID || a.GID != first.GID {
			return fmt.Errorf("a socket unit has one mode, owner and group for all its files, and %q and %q differ; give them the same or write a unit for each",
				first.Name, a.Name)
		}
	}
	if o.BindIPv6Only == "both" {
		o.BindIPv6Only = "" // the default of the system
	}
	return nil
}

func fileSettings(o *unit.Socket, a master.Address) {
	if a.HasMode {
		o.Mode = fmt.Sprintf("%04o", a.Mode)
	}
	if a.UID >= 0 {
		o.Owner = strconv.Itoa(a.UID)
	}
	if a.GID >= 0 {
		o.Group = strconv.Itoa(a.GID)
	}
}

// listenStream writes an address as ListenStream= takes it.
func listenStream(a master.Address) (string, error) {
	port := strconv.Itoa(a.Port)
	switch {
	case a.Network == "systemd":
		return "", fmt.Errorf("listen address %q has no address for a socket unit; write the one that it is to open", a.Name)
	case a.Network == "unix":
		return a.Path, nil
	case a.Port == 0:
		return "", fmt.Errorf("listen address %q: a socket unit needs a port", a.Name)
	case a.Host == "" && a.Network == "tcp":
		return port, nil // both families
	case a.Host == "" && a.Network == "tcp4":
		return "0.0.0.0:" + port, nil
	case a.Host == "":
		return "[::]:" + port, nil
	}
	ip, err := netip.ParseAddr(a.Host)
	if err != nil {
		return "", fmt.Errorf("listen address %q: a socket unit needs an IP address", a.Name)
	}
	return netip.AddrPortFrom(ip, uint16(a.Port)).String(), nil
}
