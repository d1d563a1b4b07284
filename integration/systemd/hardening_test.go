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

// mostExposed is what systemd-analyze may say of the service, of 10.
const mostExposed = 2.0

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
	if figure > mostExposed {
		t.Errorf("exposure %v, want at most %v:\n%s", figure, mostExposed, out)
	}
}

func TestTheServiceRunsAsADynamicUser(t *testing.T) {
	s := installed(t, here(t))
	s.Start()
	uid := s.Property("UID")
	if n, err := strconv.Atoi(uid); err != nil || n < 61184 || n > 65519 { // the range of DynamicUser=
		t.Errorf("it runs as user %q", uid)
	}
	status := s.m.must(t, "cat", "/proc/"+s.Property("MainPID")+"/status")
	for _, want := range []string{"\nCapEff:\t0000000000000000\n", "\nNoNewPrivs:\t1\n", "\nSeccomp:\t2\n"} {
		if !strings.Contains(status, want) {
			t.Errorf("the master's status lacks %q", want)
		}
	}
}

// What docs/systemd.md says that owner= of the service's own listener takes is
// enough, and the first line of it alone is not.
func TestASocketOwnerNeedsTheDocumentedCapabilities(t *testing.T) {
	s := instance(t, here(t), "owned", "")
	path := "/run/prefork-owned/s"
	s.write(s.ConfigPath(), "listen = [\"unix://"+path+"?owner=nobody\"]\nworkers = 1\n")
	const first = "[Service]\nSystemCallFilter=@chown\n"
	s.DropIn(first + "Restart=no\n")
	if out, err := s.Systemctl("start"); exitCode(err) == 0 {
		t.Errorf("it started without the capability: %s", out)
	}
	s.m.must(t, "systemctl", "reset-failed", s.Unit)
	s.DropIn(first + "AmbientCapabilities=CAP_CHOWN\nCapabilityBoundingSet=CAP_CHOWN\nPrivateUsers=no\n")
	s.Start()
	if owner := strings.TrimSpace(s.m.must(t, "stat", "--format=%U", path)); owner != "nobody" {
		t.Errorf("%s belongs to %s, want nobody", path, owner)
	}
}

// The directory of a user that systemd makes up is root's to enter, whatever
// the mode of a socket in it: the documents send others to a socket unit.
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
	m.must(t, "sh", "-c", "echo 1024 >/proc/sys/net/ipv4/ip_unprivileged_port_start") // the default, in a network of its own
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

	// Without it the port is out of reach, so what follows means something.
	s.DropIn("[Service]\nAmbientCapabilities=\nCapabilityBoundingSet=\nRestart=no\n")
	if out, err := s.Systemctl("start"); exitCode(err) == 0 {
		t.Errorf("it started without the capability: %s", out)
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
