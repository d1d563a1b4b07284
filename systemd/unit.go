package systemd

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// UnitOptions describe a service unit for the prefork daemon. The zero value
// works: the defaults stand beside the fields.
//
// Paths and names may have the specifiers of systemd.unit(5), so a literal '%'
// is written "%%". Everything else is quoted as needed.
type UnitOptions struct {
	// Name is the unit's name without its suffix, and that of the directories
	// under /run, /var/lib and /var/log.
	Name string // "prefork"

	Description string // "Pre-forking server"

	// Notes are comments at the top, a line each: what whoever installs the
	// unit must see to.
	Notes []string

	// Template makes a unit prefork@.service with one instance for each
	// configuration file.
	Template bool

	// User makes a unit for a user's own manager (systemctl --user). Such a
	// manager cannot set up most of the sandbox, and the unit says so.
	User bool

	Binary  string // "/usr/local/bin/prefork"; absolute
	Config  string // "/etc/prefork/prefork.toml", "%i.toml" in a template, "%E/prefork/…" for a user
	Control string // path of the control socket; "control.sock" in the runtime directory

	// Sockets names the socket units that the service cannot run without,
	// with their suffix.
	Sockets []string

	// NotifyReload writes Type=notify-reload, for systemd 253 and later, in
	// place of a synchronous ExecReload=.
	NotifyReload bool

	// RunAs is the user that the service runs as; "" makes one up for as long
	// as it runs (DynamicUser=).
	RunAs string

	// PrivilegedPorts lets the service bind ports under 1024. A socket unit
	// does the same without the capability.
	PrivilegedPorts bool

	// ReadHome lets the service read home directories.
	ReadHome bool

	// WritePaths are absolute paths that the service may write to, beside its
	// own directories: those of Unix sockets elsewhere, for instance.
	WritePaths []string

	// KillMode is what systemd does to the workers when the master dies:
	// "process" leaves them to finish by themselves beside its successor,
	// "mixed" kills them at once, "control-group" drains them before it starts
	// another master.
	KillMode string // "process"

	Watchdog     time.Duration // 60 s: a worker that hangs for 30 s is replaced first; negative: none
	StartTimeout time.Duration // 60 s
	StopTimeout  time.Duration // 45 s; each EXTEND_TIMEOUT_USEC moves it
	RestartDelay time.Duration // 100 ms

	// StoredFiles bounds the descriptor store. Each listener takes a place.
	StoredFiles int // 64
}

// killModes are those of systemd.kill(5).
var killModes = []string{"control-group", "mixed", "process", "none"}

// withDefaults returns o with every zero filled in.
func (o UnitOptions) withDefaults() UnitOptions {
	def := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	span := func(field *time.Duration, value time.Duration) {
		if *field == 0 {
			*field = value
		}
	}
	def(&o.Name, "prefork")
	def(&o.Description, "Pre-forking server")
	def(&o.Binary, "/usr/local/bin/prefork")
	directory, file := "/etc/"+o.Name, o.Name+".toml"
	if o.User {
		directory = "%E/" + o.Name
	}
	if o.Template {
		file = "%i.toml"
	}
	def(&o.Config, directory+"/"+file)
	def(&o.Control, "%t/"+o.runtime()+"/control.sock")
	def(&o.KillMode, "process")
	span(&o.Watchdog, time.Minute)
	span(&o.StartTimeout, time.Minute)
	span(&o.StopTimeout, 45*time.Second)
	span(&o.RestartDelay, 100*time.Millisecond)
	if o.StoredFiles == 0 {
		o.StoredFiles = 64
	}
	return o
}

// runtime is the name of the unit's directories. Instances have one each, for
// systemd removes it when one of them stops.
func (o UnitOptions) runtime() string {
	if o.Template {
		return o.Name + "-%i"
	}
	return o.Name
}

// check reports every problem at once.
func (o UnitOptions) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !validUnitName(o.Name) {
		bad("name %q: want letters, digits and any of \"_.-\"", o.Name)
	}
	for _, s := range o.Sockets {
		if !strings.HasSuffix(s, ".socket") || !validUnitName(strings.Replace(s, "@", "", 1)) {
			bad("socket unit %q: want a name that ends in .socket", s)
		}
	}
	paths := slices.Concat([]string{o.Binary, o.Config, o.Control}, o.WritePaths)
	for _, p := range paths {
		if !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "%") {
			bad("path %q is not absolute", p)
		}
	}
	for _, text := range slices.Concat(paths, o.Notes, []string{o.Description, o.RunAs}) {
		if breaksLine(text) {
			bad("%q has a control character, a backslash at its end, or is not UTF-8", text)
		}
	}
	if strings.ContainsAny(o.RunAs, " \t") {
		bad("user %q has a space", o.RunAs)
	}
	if !slices.Contains(killModes, o.KillMode) {
		bad("kill mode %q: want %s", o.KillMode, strings.Join(killModes, ", "))
	}
	if o.StartTimeout < 0 || o.StopTimeout < 0 || o.RestartDelay < 0 {
		bad("negative time")
	}
	if o.StoredFiles < 0 {
		bad("descriptor store of %d", o.StoredFiles)
	}
	return errors.Join(errs...)
}

func validUnitName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_.-", r)
	})
}

// ServiceUnit returns the text of a service unit, or every reason why there can
// be none. The unit is of Type=notify with a reload that waits for its outcome,
// keeps the listeners in the descriptor store, does not restart on a bad
// configuration, and is locked up as far as a network server can be; a comment
// stands beside whatever is left open. Sources: systemd.service(5),
// systemd.exec(5), systemd.kill(5).
func ServiceUnit(o UnitOptions) (string, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return "", fmt.Errorf("write service unit: %w", err)
	}
	var u unitText
	for _, note := range o.Notes {
		u.comment("Note: " + note)
	}
	o.unitSection(&u)
	o.serviceSection(&u)
	if o.User {
		hardenUser(&u)
	} else {
		o.harden(&u)
	}
	u.section("Install")
	if o.User {
		u.set("WantedBy", "default.target")
	} else {
		u.set("WantedBy", "multi-user.target")
	}
	return u.String(), nil
}

func (o UnitOptions) unitSection(u *unitText) {
	u.section("Unit")
	description := o.Description
	if o.Template {
		description += " (%i)"
	}
	u.set("Description", description)
	if !o.User {
		u.set("Wants", "network-online.target")
		u.set("After", "network-online.target")
	}
	for _, s := range o.Sockets {
		u.set("Requires", s)
		u.set("After", s)
	}
	u.comment("A server that fails ten times in a minute is not restarted.")
	u.set("StartLimitIntervalSec", "60s")
	u.set("StartLimitBurst", "10")
}

func (o UnitOptions) serviceSection(u *unitText) {
	u.section("Service")
	binary, control := quoteWord(o.Binary), quoteArgument(o.Control)
	if o.NotifyReload {
		u.set("Type", "notify-reload")
	} else {
		u.set("Type", "notify")
	}
	u.set("ExecStart", binary+" serve --config "+quoteArgument(o.Config)+" --control "+control)
	if !o.NotifyReload {
		u.comment("Waits for the new workers. If they fail, the old ones keep serving and systemctl fails.")
		u.set("ExecReload", binary+" reload --control "+control)
	}
	for _, s := range o.Sockets {
		u.set("Sockets", s)
	}
	u.comment("78 is an invalid configuration, which a restart does not correct.")
	u.set("Restart", "on-failure")
	u.set("RestartSec", span(o.RestartDelay))
	u.set("RestartPreventExitStatus", "78")
	if o.KillMode == "process" {
		u.comment("When the master dies, its workers finish their connections while the next master\n" +
			"serves, which kills those that do not finish. In a normal stop the master ends all.\n" +
			"If systemd must kill a master that hangs, a worker that hangs stays until the next start.")
	}
	u.set("KillMode", o.KillMode)
	u.set("TimeoutStartSec", span(o.StartTimeout))
	u.comment("Only for a master that hangs: during a drain the master extends it.")
	u.set("TimeoutStopSec", span(o.StopTimeout))
	if o.Watchdog > 0 {
		u.comment("The master reports while it runs and at least half of its workers do.")
		u.set("WatchdogSec", span(o.Watchdog))
		u.set("TimeoutAbortSec", "10s")
	}
	u.comment("When the OOM killer kills one worker, the others must continue.")
	u.set("OOMPolicy", "continue")
	u.comment("Keeps the listeners when the master is killed, so that no connection is refused.")
	u.set("FileDescriptorStoreMax", fmt.Sprint(o.StoredFiles))
	u.set("LimitNOFILE", "524288")
	u.set("RuntimeDirectory", o.runtime())
	u.comment("A stored Unix listener needs its path.")
	u.set("RuntimeDirectoryPreserve", "restart")
	if !o.User {
		u.set("StateDirectory", o.runtime())
		u.set("LogsDirectory", o.runtime())
	}
}
