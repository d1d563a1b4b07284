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

func TestTheServiceIsExposedNoMoreThanItMust(t *testing.T) {
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

func TestTheServiceRunsAsAUserMadeUpForIt(t *testing.T) {
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

func TestAPrivilegedPortTakesOneCapability(t *testing.T) {
	s := instance(t, here(t), "port", "")
	s.Port, s.Address = 80, "127.0.0.1:80"
	s.Configure("")
	if _, err := s.Systemctl("start"); exitCode(err) == 0 {
		t.Log("this kernel lets everybody bind port 80 (net.ipv4.ip_unprivileged_port_start)")
	}
	s.m.try("systemctl", "stop", s.Unit)
	s.m.try("systemctl", "reset-failed", s.Unit)
	s.DropIn("[Service]\nAmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\nPrivateUsers=no\n")
	s.Start()
	if err := s.Ask(); err != nil {
		t.Error(err)
	}
	if _, err := s.Systemctl("reload"); err != nil {
		t.Error(err)
	}
}
