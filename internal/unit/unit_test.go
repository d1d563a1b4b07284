package unit_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"prefork/internal/golden"
	"prefork/internal/needtool"
	"prefork/internal/testdir"
	"prefork/internal/unit"
)

// units are the units by the name of their golden file.
func units(t *testing.T, binary string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for name, o := range map[string]unit.Service{
		"prefork.service":  {},
		"prefork@.service": {Template: true},
		"user.service":     {User: true},
		"reload.service":   {NotifyReload: true},
		"full.service": {
			Name: "full", Config: "/etc/my server/a$b.toml", Control: "/run/full/c.sock",
			Sockets: []string{"full.socket"}, PrivilegedPorts: true, ReadHome: true,
			Notes: []string{"move it."}, WritePaths: []string{"/srv/a b", "/srv/c$d"},
			Watchdog: 1500 * time.Millisecond, StartTimeout: 90 * time.Second,
		},
	} {
		o.Binary = binary
		text, err := o.Text()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		texts[name] = text
	}
	for name, o := range map[string]unit.Socket{
		"prefork.socket": {Listen: []string{"127.0.0.1:9999"}},
		"full.socket": {Name: "full", Listen: []string{"80", "[::1]:81", "/run/s.sock", "@abstract"},
			BindIPv6Only: "ipv6-only", Backlog: 16, Mode: "0600", Owner: "daemon", Group: "root"},
	} {
		text, err := o.Text()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		texts[name] = text
	}
	return texts
}

func TestUnitsAreAsTheGoldenFiles(t *testing.T) {
	for name, got := range units(t, "") {
		golden.Check(t, filepath.Join("testdata", name), got)
	}
}

// analyze runs systemd-analyze on installed units.
func analyze(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	tool := needtool.Need(t, "systemd-analyze", "systemd")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir = dir
	// The user units of the machine have sockets with long names there.
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+testdir.Short(t), "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// install writes the units with an existing program into a directory.
func install(t *testing.T) (dir string, names []string) {
	t.Helper()
	program, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for name, text := range units(t, program) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return dir, names
}

func TestSystemdAnalyzeAcceptsTheUnits(t *testing.T) {
	dir, names := install(t)
	for _, name := range names {
		if name == "reload.service" {
			continue // systemd before 253 does not know Type=notify-reload
		}
		args := []string{"verify", "--man=no", "./" + strings.Replace(name, "@", "@instance", 1)}
		if name == "user.service" {
			args = append([]string{"--user"}, args...)
		}
		if out, err := analyze(t, dir, args...); err != nil || out != "" {
			t.Errorf("verify %s: %v\n%s", name, err, out)
		}
	}
}

func TestTheExposureOfSystemServicesIsLimited(t *testing.T) {
	dir, names := install(t)
	for _, name := range names {
		if !strings.HasSuffix(name, ".service") || name == "user.service" {
			continue // a user's service manager cannot enforce most of the settings
		}
		const threshold = "--threshold=20" // tenths
		if out, err := analyze(t, dir, "security", "--offline=true", threshold, "./"+name); err != nil {
			t.Errorf("%s is exposed too much: %v\n%s", name, err, out)
		}
	}
}

func TestEveryInvalidOptionOfAUnitIsReported(t *testing.T) {
	_, err := unit.Service{
		Notes: []string{"a\nb"}, Name: "a b", Binary: "prefork", Sockets: []string{"x.service", "\n.socket"},
		StartTimeout: -1, WritePaths: []string{"srv"}, Config: `/etc/x\`, Control: "/\xff",
	}.Text()
	wantAll(t, err, `name "a b"`, `path "prefork"`, `"a\nb" has`, `"x.service"`, `"\n.socket"`, "negative time",
		`path "srv"`, `"/etc/x\\" has`, `"/\xff" has`)
	_, err = unit.Socket{
		Name: "/", Listen: []string{"tcp://127.0.0.1:1", "a\nb", ""}, Backlog: -1, BindIPv6Only: "no", Mode: "rw", Owner: "\n",
	}.Text()
	wantAll(t, err, `name "/"`, `"tcp://127.0.0.1:1"`, `"a\nb"`, `listen ""`, "backlog -1", `BindIPv6Only "no"`, `mode "rw"`, `"\n" has`)
	_, err = unit.Socket{}.Text()
	wantAll(t, err, "nothing to listen on")
}

func wantAll(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Error("a unit was made of them")
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("got error %q, want %q in it", err, text)
		}
	}
}
