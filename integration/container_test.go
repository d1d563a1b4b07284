package integration

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"prefork/integration/testconf"
	"prefork/internal/needtool"
	"prefork/internal/testdir"
)

// As the first process of a container the master serves, reaps orphans and
// drains on TERM.
func TestRunsAsPID1(t *testing.T) {
	t.Parallel()
	needtool.Root(t, "a new PID namespace")
	c := line(2)
	c.Control = testdir.Short(t) + "/control"
	c.Listen = []string{"tcp://127.0.0.1:0"}
	config := testdir.Short(t) + "/config.json"
	if err := testconf.Write(config, c); err != nil {
		t.Fatal(err)
	}
	// The shell is PID 1. It mounts the namespace's /proc and executes the server.
	command := exec.Command("sh", "-c", `mount --make-rprivate / && mount -t proc proc /proc && exec "$@"`, "sh",
		Program(t, "prefork/integration/testserver"), "-exit-on-eof", "-config", config)
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	s := startOrSkip(t, c.Control, command)
	status := s.WaitState("running")
	if status.PID != 1 {
		t.Errorf("the master reports PID %d, want 1", status.PID)
	}
	base := s.Footprint()
	reapOrphans(t, s, 5)
	s.WaitFootprint(base)
	s.Do("reload")

	network, address := s.Address("")
	load := startConnecting(t, PerRequest, network, address)
	waitOK(t, 50, load)
	s.Signal(syscall.SIGTERM)
	if code := s.WaitExit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if tally := load.Stop(); tally.Lost() != 0 {
		t.Errorf("connections lost: %v", tally)
	}
}

// startOrSkip starts a command in new namespaces. It skips the test on a machine
// that does not allow them even to root.
func startOrSkip(t *testing.T, control string, command *exec.Cmd) *Server {
	t.Helper()
	probe := exec.Command("sh", "-c", "mount --make-rprivate / && mount -t proc proc /proc")
	probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: command.SysProcAttr.Cloneflags}
	if out, err := probe.CombinedOutput(); err != nil {
		needtool.Skip(t, "this machine does not allow a PID namespace with its own /proc: %v: %s", err, out)
	}
	return StartCommand(t, control, command)
}

// reapOrphans makes workers leave n orphans and waits until the master, which
// adopts them, has reaped them all.
func reapOrphans(t *testing.T, s *Server, n int) {
	t.Helper()
	before := strings.Count(s.Log.Text(), `"orphan reaped"`)
	for range n {
		client := s.Dial()
		answer := client.Ask("orphan 0.2")
		if pid, err := strconv.Atoi(answer); err != nil || pid < 1 {
			t.Fatalf("orphan: %q", answer)
		}
		_ = client.Close()
	}
	Wait(t, "the orphans to be reaped", func() (bool, string) {
		f := s.footprint()
		return strings.Count(s.Log.Text(), `"orphan reaped"`) >= before+n && f.Zombies == 0, f.String()
	})
}

func TestRunsAsSubreaper(t *testing.T) {
	t.Parallel()
	s := Launch(t, line(2), "-subreaper")
	s.WaitState("running")
	base := s.Footprint()
	reapOrphans(t, s, 1)
	// The master still learns how its own workers exit.
	for _, w := range s.WaitWorkers(2).Workers {
		kill(t, w.PID, syscall.SIGKILL)
		exitLine(t, s, w.PID)
	}
	s.WaitWorkers(2)
	reapOrphans(t, s, 1)
	s.WaitFootprint(base)
	s.Signal(syscall.SIGTERM)
	if code := s.WaitExit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}
