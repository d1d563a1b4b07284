// Package unit writes the systemd units of the daemon. service.tmpl and
// socket.tmpl have their lines; template.go says what is special in them. Every
// value is checked first, so that none can end its line and begin another.
//
// Sources: systemd.unit(5), systemd.service(5), systemd.socket(5),
// systemd.exec(5), systemd.kill(5), systemd.syntax(7).
package unit

import (
	"cmp"
	_ "embed" // for the template
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

//go:embed service.tmpl
var serviceText string

// Service describes a service unit. The zero value works: the defaults stand
// beside the fields.
//
// Paths and names may have the specifiers of systemd.unit(5), so a literal '%'
// is written "%%". Everything else is quoted as needed.
type Service struct {
	Name  string   // "prefork"; of the unit, and of its directories under /run, /var/lib and /var/log
	Notes []string // comments at the top: what must be done when the unit is installed

	// Template makes a unit prefork@.service with one instance for each
	// configuration file.
	Template bool

	// User makes a unit for a user's own manager (systemctl --user). Such a
	// manager cannot set up most of the sandbox, and the unit says so.
	User bool

	Binary  string // "/usr/local/bin/prefork"; absolute
	Config  string // "/etc/prefork/prefork.toml", "%i.toml" in a template, "%E/prefork/…" for a user
	Control string // path of the control socket; "control.sock" in the runtime directory

	Sockets []string // the socket units that the service cannot run without, with their suffix

	// NotifyReload writes Type=notify-reload, for systemd 253 and later, in
	// place of a synchronous ExecReload=.
	NotifyReload bool

	// PrivilegedPorts lets the service bind ports under 1024. A socket unit
	// does the same without the capability.
	PrivilegedPorts bool

	ReadHome   bool     // lets the service read home directories
	WritePaths []string // absolute paths that it may write to, beside its own directories

	Watchdog     time.Duration // 60 s: a worker that hangs for 30 s is replaced first
	StartTimeout time.Duration // 60 s
}

// Text returns the unit, or every reason why there can be none. The unit is of
// Type=notify with a reload that waits for its outcome, keeps the listeners in
// the descriptor store, does not restart on a bad configuration, and is locked
// up as far as a network server can be.
func (s Service) Text() (string, error) {
	s.Name = cmp.Or(s.Name, "prefork")
	s.Binary = cmp.Or(s.Binary, "/usr/local/bin/prefork")
	directory, file := "/etc/"+s.Name, s.Name+".toml"
	if s.User {
		directory = "%E/" + s.Name
	}
	if s.Template {
		file = "%i.toml"
	}
	s.Config = cmp.Or(s.Config, directory+"/"+file)
	s.Control = cmp.Or(s.Control, "%t/"+s.directory()+"/control.sock")
	s.Watchdog = cmp.Or(s.Watchdog, time.Minute)
	s.StartTimeout = cmp.Or(s.StartTimeout, time.Minute)
	if err := s.check(); err != nil {
		return "", fmt.Errorf("write service unit: %w", err)
	}
	return expand(serviceText, values{
		"user": only(s.User), "instances": only(s.Template), "notify-reload": only(s.NotifyReload),
		"ports": only(s.PrivilegedPorts), "home": only(s.ReadHome),
		"note": s.Notes, "socket": s.Sockets, "write-path": quoted(s.WritePaths...),
		"binary": quoted(s.Binary), "config": {quoteArgument(s.Config)}, "control": {quoteArgument(s.Control)},
		"directory": {s.directory()}, "watchdog": {seconds(s.Watchdog)}, "start-timeout": {seconds(s.StartTimeout)},
	}), nil
}

// directory is the name of the unit's directories. Instances have one each,
// because systemd removes it when one of them stops.
func (s Service) directory() string {
	if s.Template {
		return s.Name + "-%i"
	}
	return s.Name
}

func (s Service) check() error {
	var p problems
	p.name(s.Name)
	for _, socket := range s.Sockets {
		if !strings.HasSuffix(socket, ".socket") || !validName(strings.Replace(socket, "@", "", 1)) {
			p.add("socket unit %q: want a name that ends in .socket", socket)
		}
	}
	paths := slices.Concat([]string{s.Binary, s.Config, s.Control}, s.WritePaths)
	for _, path := range paths {
		if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "%") {
			p.add("path %q is not absolute", path)
		}
	}
	p.lines(paths...)
	p.lines(s.Notes...)
	if s.Watchdog < 0 || s.StartTimeout < 0 {
		p.add("negative time")
	}
	return errors.Join(p...)
}
