package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"prefork/cmd/prefork/internal/config"
	"prefork/internal/unit"
	"prefork/master"
)

type unitFlags struct {
	file         string
	name         string
	socket, user bool
	notifyReload bool
}

func newUnit() *cobra.Command {
	f := &unitFlags{}
	cmd := &cobra.Command{
		Use:     "unit",
		Short:   "print a systemd unit for a configuration",
		GroupID: groupServe,
		Long: `Prints a service unit that serves the configuration with this binary: hardened,
with a reload that waits for its outcome, a watchdog, and listeners that outlive
a master that is killed. What the configuration needs beyond that is opened, and
a comment says why: ports under 1024, sockets and files outside the unit's own
directories, a site in a home directory. What it cannot open is in a comment at
the top.

Without --config the unit serves /etc/NAME/NAME.toml, with --user NAME/NAME.toml
below ~/.config. If that file is there it is read; if not, the unit is one for the
default configuration.

With --socket it prints the socket unit that goes with it. systemd then opens the
configured addresses before the server ever runs, and while it restarts.`,
		Example: `  prefork unit --config /etc/prefork/prefork.toml
  prefork unit --socket --config /etc/prefork/prefork.toml
  prefork unit --user --config ~/.config/prefork/prefork.toml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.name == "" {
				return usage(cmd, "--name: a unit needs a name")
			}
			if f.socket && f.notifyReload {
				return usage(cmd, "--notify-reload changes the service unit, and --socket prints the socket unit: use one of them")
			}
			text, err := f.unit()
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().Var((*given)(&f.file), "config", "the configuration `FILE` that the unit serves")
	cmd.Flags().StringVar(&f.name, "name", "prefork", "the unit's `NAME`, without its suffix")
	cmd.Flags().BoolVar(&f.socket, "socket", false, "print the socket unit")
	cmd.Flags().BoolVar(&f.user, "user", false, "print a unit for your own manager (systemctl --user)")
	cmd.Flags().BoolVar(&f.notifyReload, "notify-reload", false, "reload by signal (systemd 253 and later); a failed reload then shows in the status alone")
	return cmd
}

func (f *unitFlags) unit() (string, error) {
	file, err := f.source()
	if err != nil {
		return "", err
	}
	c, err := config.Load(file, nil)
	if err != nil {
		return "", err
	}
	addresses := make([]master.Address, len(c.Addresses()))
	for i, l := range c.Addresses() {
		if addresses[i], err = master.ParseAddress(l); err != nil {
			return "", err
		}
	}
	if f.socket {
		return f.socketUnit(c, addresses)
	}
	o := unit.Service{Name: f.name, User: f.user, NotifyReload: f.notifyReload}
	if o.Binary, err = os.Executable(); err != nil {
		return "", fmt.Errorf("find this binary: %w", err)
	}
	o.Binary = literal(o.Binary)
	if f.file != "" {
		path, err := filepath.Abs(f.file)
		if err != nil {
			return "", fmt.Errorf("find configuration: %w", err)
		}
		o.Config = literal(path)
	}
	if !f.user {
		o.Notes = hidden(o.Binary, o.Config)
	}
	f.open(&o, c, addresses)
	text, err := o.Text()
	if err != nil {
		return "", &usageError{"prefork unit", err}
	}
	return text, nil
}

// source returns the configuration that the unit is to serve: without --config
// the one that the unit names, if it is there.
func (f *unitFlags) source() (string, error) {
	if f.file != "" {
		return f.file, nil
	}
	directory := "/etc"
	if f.user {
		var err error
		if directory, err = os.UserConfigDir(); err != nil {
			return "", fmt.Errorf("find configuration: %w; name it with --config", err)
		}
	}
	file := filepath.Join(directory, f.name, f.name+".toml")
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return file, nil
}

// hidden says which of the paths the service does not see, because it has its own
// /tmp and /var/tmp.
func hidden(paths ...string) (notes []string) {
	for _, path := range paths {
		if strings.HasPrefix(path, "/tmp/") || strings.HasPrefix(path, "/var/tmp/") {
			notes = append(notes, path+" is invisible to the service, which has its own /tmp and /var/tmp (PrivateTmp=): move it.")
		}
	}
	return notes
}

// relative says which of the files the service would look for in another place.
func (f *unitFlags) relative(c config.Config) (notes []string) {
	directory := "/"
	if f.user {
		directory = "your home directory"
	}
	for _, file := range []struct{ key, path string }{{"log_file", c.LogFile}, {"access_log", c.AccessLog}, {"pid_file", c.PIDFile}} {
		if file.path != "" && file.path != "-" && !filepath.IsAbs(file.path) {
			notes = append(notes, fmt.Sprintf("%s = %q is relative, and the service runs in %s: write an absolute path.", file.key, file.path, directory))
		}
	}
	return notes
}

func (f *unitFlags) open(o *unit.Service, c config.Config, addresses []master.Address) {
	written := []string{c.PIDFile, c.LogFile, c.AccessLog}
	if filepath.IsAbs(c.Control) {
		o.Control = literal(c.Control)
		written = append(written, c.Control)
	}
	if path, isUnix := strings.CutPrefix(c.Metrics, "unix://"); isUnix {
		written = append(written, path)
	} else if _, port, err := net.SplitHostPort(c.Metrics[strings.LastIndexByte(c.Metrics, '/')+1:]); err == nil {
		n, err := strconv.Atoi(port)
		o.PrivilegedPorts = err == nil && n > 0 && n < 1024 && !f.user
	}
	for _, a := range addresses {
		switch a.Network {
		case "systemd":
			if unit := strings.TrimSuffix(a.Label, ".socket") + ".socket"; !slices.Contains(o.Sockets, unit) {
				o.Sockets = append(o.Sockets, unit)
			}
		case "unix":
			written = append(written, a.Path)
		default:
			o.PrivilegedPorts = o.PrivilegedPorts || a.Port > 0 && a.Port < 1024 && !f.user
		}
	}
	o.Notes = append(o.Notes, f.relative(c)...)
	if !f.user {
		o.Notes = append(o.Notes, hidden(written...)...)
	}
	for _, path := range written {
		dir := filepath.Dir(path)
		if filepath.IsAbs(path) && !f.owns(dir) && !slices.Contains(o.WritePaths, literal(dir)) {
			o.WritePaths = append(o.WritePaths, literal(dir))
		}
	}
	for _, path := range append(c.OptionPaths(), o.Binary, o.Config) {
		o.ReadHome = o.ReadHome || underHome(path)
	}
	// A worker that hangs should be replaced before the watchdog ends the server.
	o.Watchdog = max(time.Minute, 2*c.Timeouts.WorkerTimeout)
	// systemd bounds a reload, which lasts until the end of the probation, by it too.
	o.StartTimeout = max(time.Minute, 3*c.Rollout.StartTimeout+max(0, c.Rollout.Probation))
}

// owns says whether a directory is one of those that the unit makes.
func (f *unitFlags) owns(dir string) bool {
	for _, own := range []string{"/run/", "/var/lib/", "/var/log/"} {
		if dir == own+f.name || strings.HasPrefix(dir, own+f.name+"/") {
			return true
		}
	}
	return false
}

func underHome(path string) bool {
	return strings.HasPrefix(path, "/home/") || strings.HasPrefix(path, "/root/") || path == "/root" || path == "/home"
}

// literal keeps a percent sign from being a specifier.
func literal(text string) string { return strings.ReplaceAll(text, "%", "%%") }
