package systemd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// system lists the directories of the root file system that the container sees.
var system = []string{"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "sys", "usr", "var"}

// hidden lists directories below system that the container does not see.
var hidden = []string{"var/tmp", "var/log", "var/spool", "var/lib/systemd", "var/cache/apt", "var/cache/prefork-test", "etc/prefork"}

// masked lists units of this machine that the tests do not need: they listen,
// download or wait for a terminal.
var masked = []string{
	"apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer", "logrotate.timer",
	"man-db.timer", "e2scrub_reap.service", "systemd-firstboot.service", "systemd-timesyncd.service", "systemd-networkd.service",
	"systemd-resolved.service", "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "getty.target",
	"console-getty.service", "cron.service", "ssh.service", "nginx.service", "apache2.service", "postgresql.service", "redis-server.service",
	"docker.service", "containerd.service", "mysql.service", "mariadb.service",
}

// journald makes the journal keep every line, in memory.
const journald = `[Journal]
Storage=volatile
RateLimitIntervalSec=0
RateLimitBurst=0
ForwardToWall=no
`

// prepare fills the upper layer of the overlay before it is mounted.
func prepare(lower, upper string) error {
	entries, err := os.ReadDir(lower)
	if err != nil {
		return err
	}
	empty := slices.Clone(hidden)
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(system, e.Name()) {
			empty = append(empty, e.Name())
		}
	}
	for _, dir := range empty {
		if err := hide(lower, upper, dir); err != nil {
			return err
		}
	}
	units := filepath.Join(upper, "etc/systemd/system")
	config := filepath.Join(upper, "etc/systemd/journald.conf.d")
	for _, dir := range []string{units, config} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, unit := range masked {
		if err := os.Symlink("/dev/null", filepath.Join(units, unit)); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(config, "test.conf"), []byte(journald), 0o644); err != nil {
		return err
	}
	// The file is empty, so systemd generates an id.
	return os.WriteFile(filepath.Join(upper, "etc/machine-id"), nil, 0o644)
}

// hide replaces a directory of the lower layer by an empty one.
func hide(lower, upper, dir string) error {
	mode := os.FileMode(0o755)
	if info, err := os.Stat(filepath.Join(lower, dir)); err == nil {
		mode = info.Mode() & (os.ModePerm | os.ModeSticky)
	}
	path := filepath.Join(upper, dir)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	if err := unix.Setxattr(path, "trusted.overlay.opaque", []byte("y"), 0); err != nil {
		return fmt.Errorf("hide %s: %w", dir, err)
	}
	return nil
}
