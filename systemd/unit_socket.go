package systemd

import (
	"errors"
	"fmt"
	"strings"
)

// SocketOptions describe a socket unit that belongs to a service unit of
// ServiceUnit. Listen must be given; the other defaults stand beside the
// fields. Text may have specifiers, as in UnitOptions.
type SocketOptions struct {
	Name        string // "prefork"; the unit's name without its suffix
	Description string // "Sockets of the pre-forking server"

	// Template makes a unit prefork@.socket, each instance of which belongs to
	// the service's instance of the same name.
	Template bool

	// Service is the service unit with its suffix, where it is not called as
	// the socket unit is.
	Service string

	// Listen holds what ListenStream= takes: a port, address:port, an absolute
	// path, or @ and an abstract name.
	Listen []string

	// FDName is the name under which the service finds the sockets, as in
	// listen = "systemd:NAME".
	FDName string // Name

	// BindIPv6Only says whether [::] takes IPv4 too: "both", "ipv6-only" or ""
	// for what the system's bindv6only says.
	BindIPv6Only string

	Backlog int    // 4096, capped by the kernel's somaxconn
	Mode    string // "0660"; the permissions of a path
	Owner   string // the owner of a path; root, or the user
	Group   string // its group; the owner's
}

func (o SocketOptions) withDefaults() SocketOptions {
	for _, d := range []struct {
		field *string
		value string
	}{
		{&o.Name, "prefork"},
		{&o.Description, "Sockets of the pre-forking server"},
		{&o.Mode, "0660"},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if o.FDName == "" {
		o.FDName = o.Name
	}
	if o.Backlog == 0 {
		o.Backlog = 4096
	}
	return o
}

// check reports every problem at once.
func (o SocketOptions) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !validUnitName(o.Name) {
		bad("name %q: want letters, digits and any of \"_.-\"", o.Name)
	}
	if o.Service != "" && (!strings.HasSuffix(o.Service, ".service") || !validUnitName(strings.Replace(o.Service, "@", "", 1))) {
		bad("service unit %q: want a name that ends in .service", o.Service)
	}
	if len(o.Listen) == 0 {
		bad("nothing to listen on")
	}
	for _, l := range o.Listen {
		if l == "" || breaksLine(l) || strings.Contains(l, "://") {
			bad("listen %q: want a port, address:port, an absolute path or @name", l)
		}
	}
	if err := checkName(o.FDName); err != nil {
		errs = append(errs, err)
	}
	if o.BindIPv6Only != "" && o.BindIPv6Only != "both" && o.BindIPv6Only != "ipv6-only" {
		bad("BindIPv6Only %q: want both or ipv6-only", o.BindIPv6Only)
	}
	if o.Backlog < 0 {
		bad("backlog %d", o.Backlog)
	}
	if len(o.Mode) < 3 || len(o.Mode) > 4 || strings.Trim(o.Mode, "01234567") != "" {
		bad("mode %q: want octal digits such as 0660", o.Mode)
	}
	for _, text := range []string{o.Description, o.Owner, o.Group} {
		if breaksLine(text) {
			bad("%q has a control character, a backslash at its end, or is not UTF-8", text)
		}
	}
	return errors.Join(errs...)
}

// SocketUnit returns the text of a socket unit, or every reason why there can
// be none. Its sockets are there before the service is and while it restarts.
// Source: systemd.socket(5).
func SocketUnit(o SocketOptions) (string, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return "", fmt.Errorf("write socket unit: %w", err)
	}
	var u unitText
	u.section("Unit")
	description := o.Description
	if o.Template {
		description += " (%i)"
	}
	u.set("Description", description)
	u.section("Socket")
	var hasPath, hasInternet bool
	for _, l := range o.Listen {
		u.set("ListenStream", l)
		isPath := strings.HasPrefix(l, "/") || strings.HasPrefix(l, "%")
		hasPath = hasPath || isPath
		hasInternet = hasInternet || !isPath && !strings.HasPrefix(l, "@")
	}
	u.comment("The service uses them by this name, listen = \"systemd:" + o.FDName + "\", or by address.")
	u.set("FileDescriptorName", o.FDName)
	if o.Service != "" {
		u.set("Service", o.Service)
	}
	u.comment("The service accepts, not systemd.")
	u.set("Accept", "no")
	u.set("Backlog", fmt.Sprint(o.Backlog))
	if o.BindIPv6Only != "" {
		u.set("BindIPv6Only", o.BindIPv6Only)
	}
	if hasInternet {
		u.comment("Inherited by every accepted connection.")
		u.on("NoDelay", "KeepAlive")
	}
	if hasPath {
		u.set("SocketMode", o.Mode)
		if o.Owner != "" {
			u.set("SocketUser", o.Owner)
		}
		if o.Group != "" {
			u.set("SocketGroup", o.Group)
		}
		u.on("RemoveOnStop")
	}
	u.section("Install")
	u.set("WantedBy", "sockets.target")
	return u.String(), nil
}
