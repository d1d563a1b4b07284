package systemd

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"prefork/integration"
	"prefork/internal/needtool"
)

// newerRoot is the root file system of a newer Debian. It is kept between runs.
const newerRoot = "/var/cache/prefork-test/trixie"

// bootstrapTime bounds the installation of newerRoot, which takes a minute or
// two.
const bootstrapTime = 10 * time.Minute

// bootstrap installs newerRoot unless it exists.
var bootstrap = sync.OnceValue(func() error {
	if _, err := os.Stat(newerRoot); err == nil {
		return nil
	}
	if _, err := exec.LookPath("debootstrap"); err != nil {
		return fmt.Errorf("debootstrap is not installed")
	}
	if err := os.MkdirAll(filepath.Dir(newerRoot), 0o755); err != nil {
		return err
	}
	// It has another name until it is complete.
	dir, err := os.MkdirTemp(filepath.Dir(newerRoot), "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), bootstrapTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus", "trixie", dir)
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("debootstrap: %w: %s", err, integration.Tail(string(out), 3))
	}
	return os.Rename(dir, newerRoot)
})

// newer returns a machine with systemd 253 or later, or skips the test.
func newer(t *testing.T) *Machine {
	t.Helper()
	m := here(t)
	if m.Version >= 253 {
		return m
	}
	if err := bootstrap(); err != nil {
		needtool.Skip(t, "this machine has systemd %d, and a newer one cannot be installed: %v", m.Version, err)
	}
	m, err := machines.get(newerRoot)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("systemd %d", m.Version)
	return m
}

// notifyReload writes a unit of Type=notify-reload with `prefork unit`.
func notifyReload(t *testing.T, m *Machine) *Service {
	t.Helper()
	s := service(t, m, "signal", "signal.service", 12000)
	s.Configure("[reload]\nprobation = \"1s\"")
	unit := m.must(t, "prefork", "unit", "--notify-reload", "--name", "signal", "--config", s.ConfigPath())
	s.write("/run/systemd/system/"+s.Unit, unit)
	m.must(t, "systemctl", "daemon-reload")
	t.Cleanup(func() { m.try("rm", "-f", "/run/systemd/system/"+s.Unit, s.ConfigPath()) })
	t.Cleanup(s.end)
	return s
}

func TestNotifyReloadWaitsForTheNewGeneration(t *testing.T) {
	s := notifyReload(t, newer(t))
	s.Start()
	master := s.MainPID()
	if kind := s.Property("Type"); kind != "notify-reload" {
		t.Fatalf("Type=%s", kind)
	}
	load := s.Load(4, 1)
	const reloads = 5
	for i := range reloads {
		if out, err := s.Systemctl("reload"); err != nil {
			t.Fatalf("reload %d: %v\n%s", i+1, err, out)
		}
		// systemctl has waited for the reload, so the test does not wait.
		if text := s.Property("StatusText"); !strings.Contains(text, fmt.Sprintf("generation %d", i+2)) {
			t.Errorf("after reload %d: %q", i+1, text)
		}
	}
	if tally := load.Stop(); tally.Bad() != 0 {
		t.Errorf("failed: %v", tally)
	}
	if pid, state := s.MainPID(), s.Property("ActiveState"); pid != master || state != "active" {
		t.Errorf("master %d is now %d, state %s; want no change", master, pid, state)
	}
}

// systemd does not learn the result of a reload by signal. The status line
// reports it.
func TestAFailedNotifyReloadEndsAndReportsWhy(t *testing.T) {
	s := notifyReload(t, newer(t))
	s.Start()
	s.Configure("mode = \"thread\\\\ing\"")
	_, _ = s.Systemctl("reload") // its exit status does not show the failure
	await(t, "the reason in the status line", func() (bool, string) {
		text := s.Property("StatusText")
		return strings.Contains(text, `unknown mode "thread\\ing"`), text
	})
	if state := s.Property("ActiveState"); state != "active" {
		t.Errorf("state %q", state)
	}
	if err := s.Ask(); err != nil {
		t.Error(err)
	}
}

func TestANewerSystemdBehavesTheSame(t *testing.T) {
	m := newer(t)
	t.Run("a killed master loses nothing", func(t *testing.T) {
		s := instance(t, m, "newer-kill", "")
		f := killMaster(t, s)
		t.Log(f)
		if f.inFlight != nil || f.others.Bad() != 0 || len(f.left) > 0 {
			t.Errorf("%v: %v", f, f.inFlight)
		}
	})
	t.Run("a restart refuses no connection", func(t *testing.T) {
		s := instance(t, m, "newer-restart", "")
		s.Start()
		load := s.Load(4, 1)
		if _, err := s.Systemctl("restart"); err != nil {
			t.Fatal(err)
		}
		s.Served(load, 20)
		if tally := load.Stop(); tally.Bad() != 0 {
			t.Errorf("failed: %v", tally)
		}
	})
	t.Run("a failed reload reports why", func(t *testing.T) {
		s := instance(t, m, "newer-reload", "")
		s.Start()
		s.Configure("mode = \"thread\\\\ing\"")
		if _, err := s.Systemctl("reload"); exitCode(err) == 0 {
			t.Error("the reload succeeded")
		}
		await(t, "the reason in the status line", func() (bool, string) {
			text := s.Property("StatusText")
			return strings.Contains(text, `unknown mode "thread\\ing"`), text
		})
	})
	t.Run("the units are verified", func(t *testing.T) {
		for _, unit := range []string{"prefork.service", "prefork@x.service", "prefork.socket"} {
			if out := m.must(t, "systemd-analyze", "verify", "--man=no", "/usr/local/lib/systemd/system/"+unit); out != "" {
				t.Errorf("%s: %s", unit, out)
			}
		}
		t.Log(integration.Tail(m.try("systemd-analyze", "security", "--no-pager", "prefork.service"), 1))
	})
}
