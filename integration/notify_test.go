package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/integration/notifytest"
	"prefork/integration/testconf"
	"prefork/internal/testdir"
	"prefork/systemd"
)

// startManaged starts the test server as a service manager does that has these
// descriptors in its store. It does not wait until the server is ready.
func startManaged(t *testing.T, r *notifytest.Recorder, c testconf.Config, stored []systemd.File) *Server {
	t.Helper()
	dir := testdir.Short(t)
	s := &Server{Dir: dir, file: filepath.Join(dir, "config.json"), Control: NewControl(filepath.Join(dir, "control")), tb: t}
	s.Configure(c)
	// The variables must hold the pid of the server, which is the pid of the
	// shell that executes it.
	command := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0" "$@"`,
		Program(t, "prefork/integration/testserver"), "-exit-on-eof", "-config", s.file)
	var names []string
	for _, f := range stored {
		fd, err := unix.FcntlInt(uintptr(f.FD), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(fd), f.Name)
		defer func() { _ = file.Close() }()
		command.ExtraFiles, names = append(command.ExtraFiles, file), append(names, f.Name)
	}
	command.Env = append(systemd.Environ(os.Environ()), "NOTIFY_SOCKET="+r.Address(), "WATCHDOG_USEC=4000000",
		"LISTEN_FDS="+strconv.Itoa(len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	s.start(command)
	return s
}

// monotonic returns the time on the clock of MONOTONIC_USEC, in µs.
func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

// reloadByHUP sends HUP and returns the message that ends the reload. It checks
// that the message that begins the reload has the time.
func reloadByHUP(t *testing.T, s *Server, r *notifytest.Recorder) notifytest.Message {
	t.Helper()
	before := monotonic(t)
	s.Signal(syscall.SIGHUP)
	m := r.Wait("RELOADING", "1", Patience)
	text, _ := m.Get("MONOTONIC_USEC")
	if at, err := strconv.ParseInt(text, 10, 64); err != nil || at < before || at > monotonic(t) {
		t.Errorf("a reload between %d and %d µs began with %v", before, monotonic(t), m)
	}
	return r.Wait("READY", "1", Patience)
}

// states returns the states that a process sent to the manager, in order.
func states(r *notifytest.Recorder, pid int) []string {
	var sent []string
	for _, m := range r.Messages() {
		for _, state := range []string{"READY", "RELOADING", "STOPPING"} {
			if m.PID == pid && m.Has(state, "1") {
				sent = append(sent, state)
			}
		}
	}
	return sent
}

func storedNames(r *notifytest.Recorder) []string {
	var names []string
	for _, f := range r.Stored() {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return names
}

// waitStarted waits for READY=1 and checks that both workers were ready by then
// and that the store holds the configured listeners.
func waitStarted(t *testing.T, s *Server, r *notifytest.Recorder, stored []string) {
	t.Helper()
	ready := r.Wait("READY", "1", Patience)
	if n := s.Log.Count("msg", "worker ready"); n != 2 {
		t.Errorf("%v when %d of 2 workers were ready", ready, n)
	}
	if status, _ := ready.Get("STATUS"); !strings.HasPrefix(status, "2 workers, generation 1,") {
		t.Errorf("READY=1 with status %q", status)
	}
	if ready.PID != s.PID {
		t.Errorf("%v; the master is %d", ready, s.PID)
	}
	if got := storedNames(r); !slices.Equal(got, stored) {
		t.Errorf("the store holds %q, want %q", got, stored)
	}
	r.Wait("WATCHDOG", "1", Patience)
}

// The test follows the notifications from the first start to the stop of a
// second master, which gets the descriptors that the first one stored.
func TestTheServiceManagerIsNotifiedInOrder(t *testing.T) {
	t.Parallel()
	r := notifytest.New(t)
	c := line(2)
	c.DrainTimeout = Patience
	path := filepath.Join(testdir.Short(t), "s")
	c.Listen = []string{"tcp://127.0.0.1:0", "unix://" + path}
	stored := []string{systemd.EscapeName("prefork tcp://127.0.0.1:0"), systemd.EscapeName("prefork unix://" + path)}

	s := startManaged(t, r, c, nil)
	for range stored {
		m := r.Wait("FDSTORE", "1", Patience)
		if name, _ := m.Get("FDNAME"); m.Files != 1 || !slices.Contains(stored, name) {
			t.Errorf("stored: %v", m)
		}
	}
	waitStarted(t, s, r, stored)
	network, address := s.Address("")

	good := reloadByHUP(t, s, r)
	if status, _ := good.Get("STATUS"); !strings.HasPrefix(status, "2 workers, generation 2,") {
		t.Errorf("after a good reload: %v", good)
	}
	s.WaitState("running") // so that the next reload does not wait for the probation
	s.Break(`{"error": "no such thing"}`)
	bad := reloadByHUP(t, s, r)
	if status, _ := bad.Get("STATUS"); !strings.Contains(status, "no such thing") || !strings.Contains(status, "generation 2") {
		t.Errorf("after a bad reload: %v", bad)
	}
	if got, want := states(r, s.PID), []string{"READY", "RELOADING", "READY", "RELOADING", "READY"}; !slices.Equal(got, want) {
		t.Errorf("states sent to the manager: %v, want %v", got, want)
	}

	old := s.WaitWorkers(2)
	s.Signal(syscall.SIGKILL)
	s.WaitExit()
	for _, w := range old.Workers { // they accept until they notice the master's death
		Wait(t, "the killed master's workers to exit", func() (bool, string) { return !Alive(w.PID), fmt.Sprint(w.PID) })
	}
	queued := []*Client{DialClient(t, network, address), DialClient(t, "unix", path)}
	c.Program.Tag = "successor"
	next := startManaged(t, r, c, r.Stored())
	waitStarted(t, next, r, stored)
	for _, client := range queued { // they connected while there was no master
		if answer := client.Ask("tag"); answer != "successor" {
			t.Errorf("a client in the queue of a stored listener got %q", answer)
		}
	}
	if _, now := next.Address(""); now != address {
		t.Errorf("the successor listens on %s, want the stored %s", now, address)
	}
	stopDuringRequest(t, next, r, queued[0])
	if got := storedNames(r); !slices.Equal(got, stored[:1]) {
		t.Errorf("the store holds %q after the stop, want only the TCP listener", got)
	}
}

// stopDuringRequest sends TERM during a request, so that the server asks the
// manager for more time, and TERM again, so that it stops at once.
func stopDuringRequest(t *testing.T, s *Server, r *notifytest.Recorder, client *Client) {
	t.Helper()
	client.Send("hang")
	s.WaitStatus("an active request", func(status *Status) bool { return status.Totals.Active >= 1 })
	s.Signal(syscall.SIGTERM)
	if m := r.Wait("STOPPING", "1", Patience); m.PID != s.PID {
		t.Errorf("%v; the master is %d", m, s.PID)
	}
	extend := r.WaitFor("EXTEND_TIMEOUT_USEC", Patience, func(m notifytest.Message) bool {
		_, found := m.Get("EXTEND_TIMEOUT_USEC")
		return found
	})
	text, _ := extend.Get("EXTEND_TIMEOUT_USEC")
	if n, err := strconv.Atoi(text); err != nil || n <= 0 {
		t.Errorf("invalid time in %v", extend)
	}
	s.Signal(syscall.SIGTERM)
	s.WaitExit()
	if got, want := fmt.Sprint(states(r, s.PID)), "[READY STOPPING]"; got != want {
		t.Errorf("states sent to the manager: %s, want %s", got, want)
	}
}
