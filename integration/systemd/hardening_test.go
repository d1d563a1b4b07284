package systemd

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestSystemdVerifiesTheInstalledUnits(t *testing.T) {
	m := here(t)
	for _, unit := range []string{"prefork.service", "prefork@x.service", "prefork.socket"} {
		if out := m.must(t, "systemd-analyze", "verify", "--man=no", "/usr/local/lib/systemd/system/"+unit); out != "" {
			t.Errorf("%s: %s", unit, out)
		}
	}
}

// maxExposure is the highest acceptable exposure level of the service, of 10.
const maxExposure = 2.0

func TestTheServicesExposureIsLimited(t *testing.T) {
	m := here(t)
	s := installed(t, m)
	s.Start()
	out := m.must(t, "systemd-analyze", "security", "--no-pager", "prefork.service")
	found := regexp.MustCompile(`Overall exposure level for prefork.service: ([0-9.]+)`).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no figure in:\n%s", out)
	}
	figure, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("exposure %v", figure)
	if figure > maxExposure {
		t.Errorf("exposure %v, want at most %v:\n%s", figure, maxExposure, out)
	}
}

func TestTheServiceRunsAsADynamicUser(t *testing.T) {
	s := installed(t, here(t))
	s.Start()
	uid := s.Property("UID")
	if n, err := strconv.Atoi(uid); err != nil || n < 61184 || n > 65519 { // the range of DynamicUser=
		t.Errorf("the service runs as user %q, want a dynamic user", uid)
	}
	status := s.m.must(t, "cat", "/proc/"+s.Property("MainPID")+"/status")
	for _, want := range []string{"\nCapEff:\t0000000000000000\n", "\nNoNewPrivs:\t1\n", "\nSeccomp:\t2\n"} {
		if !strings.Contains(status, want) {
			t.Errorf("the master's status lacks %q", want)
		}
	}
}

// docs/systemd.md lists what a listener with owner= needs. The whole list is
// enough, and its first line is not.
func TestASocketOwnerNeedsTheDocumentedCapabilities(t *testing.T) {
	s := instance(t, here(t), "owned", "")
	path := "/run/prefork-owned/s"
	s.write(s.ConfigPath(), "listen = [\"unix://"+path+"?owner=nobody\"]\nworkers = 1\n")
	const first = "[Service]\nSystemCallFilter=@chown\n"
	s.DropIn(first + "Restart=no\n")
	if out, err := s.Systemctl("start"); exitCode(err) == 0 {
		t.Errorf("the service started without the capability: %s", out)
	}
	s.m.must(t, "systemctl", "reset-failed", s.Unit)
	s.DropIn(first + "AmbientCapabilities=CAP_CHOWN\nCapabilityBoundingSet=CAP_CHOWN\nPrivateUsers=no\n")
	s.Start()
	if owner := strings.TrimSpace(s.m.must(t, "stat", "--format=%U", path)); owner != "nobody" {
		t.Errorf("%s belongs to %s, want nobody", path, owner)
	}
}

// Only root can enter the runtime directory of a dynamic user, whatever the mode
// of a socket in it. The documents recommend a socket unit for other users.
func TestAUnixListenerInTheRuntimeDirectoryIsForRootOnly(t *testing.T) {
	s := instance(t, here(t), "private", "")
	path := "/run/prefork-private/s"
	s.write(s.ConfigPath(), "listen = [\"unix://"+path+"?mode=0666\"]\nworkers = 1\n")
	s.Start()
	ask := "echo hello | nc -N -U " + path
	if out := s.m.must(t, "sh", "-c", ask); out != "HELLO\n" {
		t.Errorf("root got %q", out)
	}
	if out := s.m.try("runuser", "-u", "nobody", "--", "sh", "-c", ask); !strings.Contains(strings.ToLower(out), "permission denied") {
		t.Errorf("nobody got %q, want permission denied", out)
	}
}

func TestAPrivilegedPortNeedsOneCapability(t *testing.T) {
	m := here(t)
	m.must(t, "sh", "-c", "echo 1024 >/proc/sys/net/ipv4/ip_unprivileged_port_start") // the kernel's default; the container has its own network
	s := service(t, m, "port", "port.service", 80)
	s.Configure("")
	path := "/run/systemd/system/" + s.Unit
	t.Cleanup(func() { m.try("rm", "-f", path, s.ConfigPath()) })
	t.Cleanup(s.end)
	unit := m.must(t, "prefork", "unit", "--name", s.Name, "--config", s.ConfigPath())
	s.write(path, unit)
	if out := m.must(t, "systemd-analyze", "verify", "--man=no", path); out != "" {
		t.Errorf("systemd-analyze: %s", out)
	}

	// First without the capability: the start must fail.
	s.DropIn("[Service]\nAmbientCapabilities=\nCapabilityBoundingSet=\nRestart=no\n")
	if out, err := s.Systemctl("start"); exitCode(err) == 0 {
		t.Errorf("the service started without the capability: %s", out)
	}
	s.WaitJournal("permission denied")
	m.must(t, "systemctl", "reset-failed", s.Unit)
	m.must(t, "rm", "-r", path+".d")
	m.must(t, "systemctl", "daemon-reload")

	s.Start()
	s.WaitWorkers(2)
	const one = "0000000000000400" // CAP_NET_BIND_SERVICE is bit 10, see capabilities(7)
	status := m.must(t, "cat", "/proc/"+s.Property("MainPID")+"/status")
	for _, want := range []string{"\nCapEff:\t" + one + "\n", "\nCapBnd:\t" + one + "\n"} {
		if !strings.Contains(status, want) {
			t.Errorf("the master's status lacks %q:\n%s", want, status)
		}
	}
	if err := s.Ask(); err != nil {
		t.Error(err)
	}
	if _, err := s.Systemctl("reload"); err != nil {
		t.Error(err)
	}
}
