package systemd

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"prefork/integration"
	"prefork/integration/testconf"
)

// defaultPort is the port of the installed configuration.
const defaultPort = 9999

// installed returns the unit of `make install` with the installed configuration.
func installed(t *testing.T, m *Machine) *Service {
	t.Helper()
	s := service(t, m, "prefork", "prefork.service", defaultPort)
	t.Cleanup(s.end)
	return s
}

func TestServesAfterMakeInstallAndStart(t *testing.T) {
	s := installed(t, here(t))
	s.Start()
	if state := s.Property("ActiveState"); state != "active" {
		t.Errorf("state %q", state)
	}
	if err := s.Ask(); err != nil {
		t.Error(err)
	}
	await(t, "a status line with workers, generation and connections", func() (bool, string) {
		text := s.Property("StatusText")
		return strings.Contains(text, " workers, generation 1, 0 active"), text
	})
}

func TestMakeUninstallKeepsOnlyAChangedConfiguration(t *testing.T) {
	m := here(t)
	const prefix = "PREFIX=/opt/elsewhere"
	files := func() string { return m.try("find", "/opt/elsewhere", "-type", "f") }
	if _, err := install(m, "install", prefix, "SYSCONFDIR=/opt/elsewhere/etc"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"/bin/prefork", "/lib/systemd/system/prefork.service", "/lib/systemd/system/prefork@.service",
		"/lib/systemd/system/prefork.socket", "/etc/prefork/prefork.toml"} {
		if !strings.Contains(files(), "/opt/elsewhere"+want+"\n") {
			t.Errorf("%s was not installed:\n%s", want, files())
		}
	}
	unit := m.must(t, "cat", "/opt/elsewhere/lib/systemd/system/prefork.service")
	if want := "ExecStart=/opt/elsewhere/bin/prefork serve --config /opt/elsewhere/etc/prefork/prefork.toml "; !strings.Contains(unit, want) {
		t.Errorf("the unit does not contain %q:\n%s", want, unit)
	}

	const config = "/opt/elsewhere/etc/prefork/prefork.toml"
	m.write(t, config, "# mine\n")
	if _, err := install(m, "install", prefix, "SYSCONFDIR=/opt/elsewhere/etc"); err != nil {
		t.Fatal(err)
	}
	if _, err := install(m, "uninstall", prefix, "SYSCONFDIR=/opt/elsewhere/etc"); err != nil {
		t.Fatal(err)
	}
	if got := files(); got != config+"\n" {
		t.Errorf("left: %q, want only the changed configuration", got)
	}
	if text := m.must(t, "cat", config); text != "# mine\n" {
		t.Errorf("the configuration is now %q", text)
	}
}

// testServer makes the unit run the test server.
func (s *Service) testServer(c testconf.Config, more string) {
	s.t.Helper()
	c.Listen, c.Control = []string{"tcp://" + s.Address}, s.Control()
	if c.Workers == 0 {
		c.Workers = 2
	}
	program := integration.Program(s.t, "prefork/integration/testserver")
	if err := copyFile(program, s.m.Path("/usr/local/bin/testserver")); err != nil {
		s.t.Fatal(err)
	}
	if err := testconf.Write(s.m.Path(s.ConfigPath()), c); err != nil {
		s.t.Fatal(err)
	}
	s.m.must(s.t, "chmod", "0644", s.ConfigPath())
	s.DropIn("[Service]\nExecStart=\nExecStart=/usr/local/bin/testserver -config " + s.ConfigPath() + "\n" + more)
}

// The test compares the times in the messages. The journal receives them on two
// sockets and may store them in any order.
func TestActiveMeansThatEveryWorkerIsReady(t *testing.T) {
	s := instance(t, here(t), "slow", "")
	s.testServer(testconf.Config{Workers: 3, Program: testconf.Program{Boot: testconf.Slow, BootDelay: time.Second}}, "")
	s.Start()
	active := time.UnixMicro(s.microseconds("Unit", "ActiveEnterTimestamp"))
	ready := 0
	for _, e := range s.Journal() {
		var line struct {
			TS  time.Time
			Msg string
		}
		if json.Unmarshal([]byte(e.text("MESSAGE")), &line) != nil || line.Msg != "worker ready" {
			continue // systemd's own lines are not JSON
		}
		ready++
		if line.TS.After(active) {
			t.Errorf("a worker was ready %v after systemd called the unit active", line.TS.Sub(active))
		}
	}
	if ready != 3 {
		t.Errorf("%d workers were ready", ready)
	}
}

func TestAWorkerThatFailsAtBootFailsTheStartWithTheReason(t *testing.T) {
	for boot, want := range map[testconf.Boot]struct{ reason, code string }{
		testconf.Exits:  {"boot failed: worker", "1"},
		testconf.Panics: {"configure program: panic: boot panic on command", "1"},
	} {
		t.Run(string(boot), func(t *testing.T) {
			s := instance(t, here(t), "boot", "")
			s.testServer(testconf.Config{Program: testconf.Program{Boot: boot}}, "Restart=no\n")
			out, err := s.Systemctl("start")
			if exitCode(err) == 0 {
				t.Fatalf("the start succeeded: %s", out)
			}
			s.WaitProperty("ActiveState", "failed")
			if code := s.Property("ExecMainStatus"); code != want.code {
				t.Errorf("exit status %s, want %s", code, want.code)
			}
			if status := s.Shown(); !strings.Contains(status, want.reason) {
				t.Errorf("systemctl status does not say %q:\n%s", want.reason, status)
			}
			if left := s.Processes(); len(left) > 0 {
				t.Errorf("left in the cgroup: %v", left)
			}
		})
	}
}

func TestABadConfigurationFailsOnceWithStatus78(t *testing.T) {
	for name, config := range map[string]string{
		"in the file":   "drian_timeout = \"1s\"",
		"in the worker": "handler = \"http\"\n[options]\nroot = \"/nowhere\"",
	} {
		t.Run(name, func(t *testing.T) {
			s := instance(t, here(t), "bad", config)
			if out, err := s.Systemctl("start"); exitCode(err) == 0 {
				t.Fatalf("the start succeeded: %s", out)
			}
			s.WaitProperty("ActiveState", "failed")
			if code, restarts := s.Property("ExecMainStatus"), s.Property("NRestarts"); code != "78" || restarts != "0" {
				t.Errorf("exit status %s, %s restarts, want 78 and 0", code, restarts)
			}
			status := s.Shown()
			want := fmt.Sprintf("%s:3: unknown key", s.ConfigPath())
			if strings.Contains(config, "nowhere") {
				want = "/nowhere: no such file or directory"
			}
			if !strings.Contains(status, want) || !strings.Contains(status, "status=78/CONFIG") {
				t.Errorf("systemctl status does not say %q:\n%s", want, status)
			}
		})
	}
}
