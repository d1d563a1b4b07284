package unit

import (
	"cmp"
	_ "embed" // for the template
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

//go:embed socket.tmpl
var socketText string

// Socket describes a socket unit that belongs to the service unit of the same
// name. Listen must be given; the other defaults stand beside the fields. Text
// may have specifiers, as in Service.
type Socket struct {
	Name string // "prefork"; of the unit, and the FD name as in listen = "systemd:NAME"

	// Listen holds what ListenStream= takes: a port, address:port, an absolute
	// path, or @ and an abstract name.
	Listen []string

	// BindIPv6Only says whether [::] takes IPv4 too: "both", "ipv6-only" or ""
	// for what the system's bindv6only says.
	BindIPv6Only string

	Backlog int    // 4096, capped by the kernel's somaxconn
	Mode    string // "0660"; the permissions of a path
	Owner   string // the owner of a path; root, or the user
	Group   string // its group; the owner's
}

// Text returns the unit, or every reason why there can be none. Its sockets are
// there before the service is and while it restarts.
func (s Socket) Text() (string, error) {
	s.Name = cmp.Or(s.Name, "prefork")
	s.Mode = cmp.Or(s.Mode, "0660")
	s.Backlog = cmp.Or(s.Backlog, 4096)
	if err := s.check(); err != nil {
		return "", fmt.Errorf("write socket unit: %w", err)
	}
	isPath := func(l string) bool { return l[0] == '/' || l[0] == '%' }
	isTCP := func(l string) bool { return !isPath(l) && l[0] != '@' }
	return expand(socketText, values{
		"listen": s.Listen, "name": {s.Name}, "backlog": {strconv.Itoa(s.Backlog)}, "ipv6-only": given(s.BindIPv6Only),
		"tcp": only(slices.ContainsFunc(s.Listen, isTCP)), "path": only(slices.ContainsFunc(s.Listen, isPath)),
		"mode": {s.Mode}, "owner": given(s.Owner), "group": given(s.Group),
	}), nil
}

func (s Socket) check() error {
	var p problems
	p.name(s.Name)
	if len(s.Listen) == 0 {
		p.add("nothing to listen on")
	}
	for _, l := range s.Listen {
		if l == "" || strings.Contains(l, "://") {
			p.add("listen %q: want a port, address:port, an absolute path or @name", l)
		}
	}
	if s.BindIPv6Only != "" && s.BindIPv6Only != "both" && s.BindIPv6Only != "ipv6-only" {
		p.add("BindIPv6Only %q: want both or ipv6-only", s.BindIPv6Only)
	}
	if s.Backlog < 0 {
		p.add("backlog %d", s.Backlog)
	}
	if len(s.Mode) < 3 || len(s.Mode) > 4 || strings.Trim(s.Mode, "01234567") != "" {
		p.add("mode %q: want octal digits such as 0660", s.Mode)
	}
	p.lines(s.Listen...)
	p.lines(s.Owner, s.Group)
	return errors.Join(p...)
}
