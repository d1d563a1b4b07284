package systemd

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"prefork/integration"
	"prefork/integration/testconf"
)

// defaultAddress is where the installed configuration serves.
const defaultAddress = "127.0.0.1:9999"

// installed is the unit of `make install`, with the configuration that came
// with it.
func installed(t *testing.T, m *Machine) *Service {
	t.Helper()
	s := &Service{t: t, m: m, Name: "prefork", Unit: "prefork.service", Address: defaultAddress}
	t.Cleanup(s.end)
	return s
}

func TestAfterMakeInstallAloneStartServes(t *testing.T) {
	s := installed(t, here(t))
	s.Start()
	if state := s.Property("ActiveState"); state != "active" {
		t.Errorf("state %q", state)
	}
	if err := s.Ask(); err != nil {
		t.Error(err)
	}
	integration.Wait(t, "a status line that says what there is", func() (bool, string) {
		text := s.Property("StatusText")
		return strings.Contains(text, " workers, generation 1, 0 active"), text
	})
}

func TestMakeUninstallLeavesNothingButWhatWasChanged(t *testing.T) {
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
		t.Errorf("the unit names other places than %q:\n%s", want, unit)
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
		t.Errorf("left: %q, want the changed configuration alone", got)
	}
	if text := m.must(t, "cat", config); text != "# mine\n" {
		t.Errorf("the configuration became %q", text)
	}
}

// testServer makes the unit run the server that misbehaves on command.
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

func TestActiveMeansThatEveryWorkerIsReady(t *testing.T) {
	s := instance(t, here(t), "slow", "")
	s.testServer(testconf.Config{Workers: 3, Program: testconf.Program{Boot: testconf.Slow, BootDelay: time.Second}}, "")
	s.Start()
	started := s.when("UNIT="+s.Unit, "MESSAGE_ID=39f53479d3a045ac8e11786248231fbf") // SD_MESSAGE_UNIT_STARTED
	ready := 0
	for _, e := range s.Journal() {
		if text, _ := e["MESSAGE"].(string); strings.Contains(text, `"worker ready"`) {
			ready++
			if at := e.monotonic(t); at > started {
				t.Errorf("a worker was ready %d µs after systemd called the unit started", at-started)
			}
		}
	}
	if ready != 3 {
		t.Errorf("%d workers were ready", ready)
	}
}

// when returns the time of the one line that matches.
func (s *Service) when(match ...string) int64 {
	s.t.Helper()
	s.m.must(s.t, "journalctl", "--sync")
	entries := s.m.journal(s.t, match...)
	if len(entries) != 1 {
		s.t.Fatalf("%d lines match %v", len(entries), match)
	}
	return entries[0].monotonic(s.t)
}

// monotonic is the time of a line in microseconds since the machine booted.
func (e Entry) monotonic(t *testing.T) int64 {
	t.Helper()
	text, _ := e["__MONOTONIC_TIMESTAMP"].(string)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("a line without a time: %v", e)
	}
	return n
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
			if status, _ := s.Systemctl("status"); !strings.Contains(status, want.reason) {
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
		"in the file":     "drian_timeout = \"1s\"",
		"at the worker's": "handler = \"http\"\n[options]\nroot = \"/nowhere\"",
	} {
		t.Run(name, func(t *testing.T) {
			s := instance(t, here(t), "bad", config)
			if out, err := s.Systemctl("start"); exitCode(err) == 0 {
				t.Fatalf("the start succeeded: %s", out)
			}
			s.WaitProperty("ActiveState", "failed")
			if code, restarts := s.Property("ExecMainStatus"), s.Property("NRestarts"); code != "78" || restarts != "0" {
				t.Errorf("exit status %s, %s restarts, want 78 and none", code, restarts)
			}
			status, _ := s.Systemctl("status")
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
