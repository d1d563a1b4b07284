package systemd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"prefork/integration"
)

// commandTime bounds a command inside the container.
const commandTime = 3 * time.Minute

// patience is the limit for waits that normally take moments. Each check starts
// a process in the container, which takes a second on a loaded machine.
const patience = 2 * time.Minute

// await is integration.Wait with patience as its limit.
func await(t *testing.T, what string, cond func() (ok bool, saw string)) {
	t.Helper()
	if saw, ok := integration.WaitFor(patience, cond); !ok {
		t.Fatalf("waited %v for %s; last saw: %s", patience, what, saw)
	}
}

// Service is a unit of one test, such as an instance of prefork@.service. When
// the test ends, the unit is stopped and its files are removed. Its journal is
// shown if the test failed.
type Service struct {
	t       *testing.T
	m       *Machine
	Name    string // of the instance
	Unit    string
	Port    int
	Address string
	since   string // the journal's cursor when the test began
}

// service returns a Service for a unit. Journal begins now, because other tests
// and earlier runs may have used the same name.
func service(t *testing.T, m *Machine, name, unit string, port int) *Service {
	t.Helper()
	return &Service{t: t, m: m, Name: name, Unit: unit, Port: port, Address: fmt.Sprintf("127.0.0.1:%d", port), since: m.cursor(t)}
}

var ports atomic.Int32

// instance returns a service with the default configuration and a unique port.
// more is appended to the configuration file.
func instance(t *testing.T, m *Machine, name, more string) *Service {
	t.Helper()
	s := service(t, m, name, "prefork@"+name+".service", 10000+int(ports.Add(1)))
	s.Configure(more)
	t.Cleanup(s.end)
	return s
}

// end stops the unit in whatever state it is and removes its files.
func (s *Service) end() {
	if s.t.Failed() {
		s.t.Logf("journal of %s:\n%s", s.Unit, s.m.try("journalctl", "-u", s.Unit, "-o", "short-monotonic", "-n", "200", "--no-hostname"))
		s.t.Logf("%s", s.m.try("systemctl", "status", s.Unit))
	}
	for _, args := range [][]string{
		{"systemctl", "kill", "--kill-who=all", "--signal=KILL", s.Unit},
		{"systemctl", "stop", s.Unit},
		{"systemctl", "reset-failed", s.Unit},
		{"rm", "-rf", "/run/systemd/system/" + s.Unit + ".d"},
		{"systemctl", "daemon-reload"},
	} {
		s.m.try(args...)
	}
	if strings.Contains(s.Unit, "@") { // the installed configuration stays
		s.m.try("rm", "-f", s.ConfigPath())
	}
}

// ConfigPath is the configuration's path inside the container.
func (s *Service) ConfigPath() string { return "/etc/prefork/" + s.Name + ".toml" }

// Control is the control socket's path inside the container.
func (s *Service) Control() string {
	directory, _, _ := strings.Cut(s.Unit, ".")
	return "/run/" + strings.Replace(directory, "@", "-", 1) + "/control.sock"
}

// Configure rewrites the configuration file.
func (s *Service) Configure(more string) {
	s.t.Helper()
	s.write(s.ConfigPath(), fmt.Sprintf("listen = [\"tcp://%s\"]\nworkers = 2\n%s\n", s.Address, more))
}

// DropIn writes a drop-in for the unit and makes systemd read it.
func (s *Service) DropIn(text string) {
	s.t.Helper()
	s.write("/run/systemd/system/"+s.Unit+".d/test.conf", text)
	s.m.must(s.t, "systemctl", "daemon-reload")
}

func (s *Service) write(path, text string) { s.m.write(s.t, path, text) }

// Start starts the unit and fails the test if that fails.
func (s *Service) Start() {
	s.t.Helper()
	s.m.must(s.t, "systemctl", "start", s.Unit)
}

// Systemctl runs a verb on the unit.
func (s *Service) Systemctl(verb string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	return s.m.Run(ctx, "systemctl", verb, s.Unit)
}

// Property returns one property of the unit.
func (s *Service) Property(name string) string { return s.m.property(s.t, s.Unit, name) }

// WaitProperty waits until a property has a value.
func (s *Service) WaitProperty(name, want string) {
	s.t.Helper()
	await(s.t, name+"="+want, func() (bool, string) {
		got := s.Property(name)
		return got == want, got
	})
}

// MainPID returns the pid of the master according to systemd.
func (s *Service) MainPID() int {
	s.t.Helper()
	return atoi(s.t, s.Property("MainPID"))
}

// Processes returns the pids in the unit's cgroup, as seen in the container.
func (s *Service) Processes() []int {
	s.t.Helper()
	group := s.Property("ControlGroup")
	if group == "" {
		return nil
	}
	out, err := s.m.Run(context.Background(), "cat", "/sys/fs/cgroup"+group+"/cgroup.procs")
	if err != nil {
		return nil // the cgroup is removed with its last process
	}
	var pids []int
	for _, field := range strings.Fields(out) {
		pids = append(pids, atoi(s.t, field))
	}
	return pids
}

// Shown returns the output of systemctl status after the journal has read all
// lines.
func (s *Service) Shown() string {
	s.t.Helper()
	s.m.must(s.t, "journalctl", "--sync")
	return s.m.try("systemctl", "status", s.Unit) // its exit status is the unit's
}

// Status gets the status of the master.
func (s *Service) Status() (integration.Status, error) {
	var status integration.Status
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := s.m.Run(ctx, "prefork", "status", "--json", "--control", s.Control())
	if err != nil {
		return status, err
	}
	return status, json.Unmarshal([]byte(out), &status)
}

// WaitWorkers waits until n workers of the current generation are ready.
func (s *Service) WaitWorkers(n int) integration.Status {
	s.t.Helper()
	var status integration.Status
	await(s.t, fmt.Sprintf("%d ready workers", n), func() (bool, string) {
		var err error
		if status, err = s.Status(); err != nil {
			return false, err.Error()
		}
		ready := 0
		for _, w := range status.Workers {
			if w.Generation == status.Generation && (w.State == "ready" || w.State == "busy") {
				ready++
			}
		}
		return status.State == "running" && ready == n, fmt.Sprintf("%s, %d ready", status.State, ready)
	})
	return status
}

// Ask sends one line on a new connection and checks the answer.
func (s *Service) Ask() error {
	conn, err := s.m.Dial("tcp", s.Address, answerTime)
	if err != nil {
		return err
	}
	defer conn.Close()
	return exchange(conn, bufio.NewReader(conn))
}

// Begin starts a slow request.
func (s *Service) Begin() *Request {
	s.t.Helper()
	r, err := s.m.Begin("tcp", s.Address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = r.conn.Close() })
	return r
}

// Load starts clients and waits until they are served.
func (s *Service) Load(count, lines int) *Clients {
	s.t.Helper()
	c := (&Clients{Machine: s.m, Address: s.Address, Count: count, Lines: lines}).Start()
	s.t.Cleanup(func() { c.Stop() })
	s.Served(c, 20)
	return c
}

// Served waits until more lines have been answered.
func (s *Service) Served(c *Clients, more int) {
	s.t.Helper()
	served(s.t, c, more)
}

func served(t *testing.T, c *Clients, more int) {
	t.Helper()
	want := c.Tally().Count(integration.OK) + more
	await(t, fmt.Sprintf("%d more answers", more), func() (bool, string) {
		return c.Tally().Count(integration.OK) >= want, c.Tally().String()
	})
}

// Kill sends a signal to processes of the container.
func (s *Service) Kill(signal string, pids ...int) {
	s.t.Helper()
	command := "kill -" + signal // the shell's builtin: a small system has no kill program
	for _, pid := range pids {
		command += " " + strconv.Itoa(pid)
	}
	s.m.must(s.t, "sh", "-c", command)
}

func (m *Machine) property(t *testing.T, unit, name string) string {
	t.Helper()
	return strings.TrimSuffix(m.must(t, "systemctl", "show", "--value", "--property="+name, unit), "\n")
}

// microseconds returns a property that is a time or a duration, which systemctl
// would format, such as "ActiveEnterTimestamp" of the interface "Unit".
func (s *Service) microseconds(iface, name string) int64 {
	s.t.Helper()
	const bus = "org.freedesktop.systemd1"
	path := "/org/freedesktop/systemd1/unit/"
	for _, c := range []byte(s.Unit) {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' {
			path += string(c)
		} else {
			path += fmt.Sprintf("_%02x", c) // sd_bus_path_encode(3)
		}
	}
	out := s.m.must(s.t, "busctl", "get-property", bus, path, bus+"."+iface, name)
	n, err := strconv.ParseInt(strings.TrimPrefix(strings.TrimSpace(out), "t "), 10, 64)
	if err != nil {
		s.t.Fatalf("%s of %s is %q", name, s.Unit, out)
	}
	return n
}

// must runs a command that must succeed.
func (m *Machine) must(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	out, err := m.Run(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// try runs a command that may fail and returns its output.
func (m *Machine) try(args ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	out, _ := m.Run(ctx, args...)
	return out
}

// write writes a file in the container and creates its directory.
func (m *Machine) write(t *testing.T, path, text string) {
	t.Helper()
	outside := m.Path(path)
	if err := os.MkdirAll(filepath.Dir(outside), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(outside, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// exitCode returns the status of a command that failed, or 0.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

func atoi(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%q is not a number", text)
	}
	return n
}

// copyFile copies a program. It replaces the old file, which may be running.
func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}
