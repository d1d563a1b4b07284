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

	"prefork/integration/testconf"
	"prefork/internal/testdir"
	"prefork/systemd"
	"prefork/systemd/notifytest"
)

// managed starts the test server as a service manager would that has these
// descriptors in its store, and waits for nothing.
func managed(t *testing.T, r *notifytest.Recorder, c testconf.Config, stored []systemd.File) *Server {
	t.Helper()
	dir := testdir.Short(t)
	s := &Server{Dir: dir, file: filepath.Join(dir, "config.json"), Control: NewControl(filepath.Join(dir, "control")), tb: t}
	s.Configure(c)
	// The variables name the process that they are for, which is the shell's
	// until it executes the server.
	command := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0" "$@"`,
		Program(t, "prefork/integration/testserver"), "-leash", "-config", s.file)
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

// monotonic is what MONOTONIC_USEC is measured by.
func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

// reloads sends HUP and returns the message that ends the reload. The server
// must have said when it began, in the message that says so.
func reloads(t *testing.T, s *Server, r *notifytest.Recorder) notifytest.Message {
	t.Helper()
	before := monotonic(t)
	s.Signal(syscall.SIGHUP)
	m := r.Wait("RELOADING", "1", Patience)
	text, _ := m.Get("MONOTONIC_USEC")
	if at, err := strconv.ParseInt(text, 10, 64); err != nil || at < before || at > monotonic(t) {
		t.Errorf("a reload of after %d and before %d µs began with %v", before, monotonic(t), m)
	}
	return r.Wait("READY", "1", Patience)
}

// states are the states that the manager was told, in order, by their PID.
func states(r *notifytest.Recorder, pid int) []string {
	var told []string
	for _, m := range r.Messages() {
		for _, state := range []string{"READY", "RELOADING", "STOPPING"} {
			if m.PID == pid && m.Has(state, "1") {
				told = append(told, state)
			}
		}
	}
	return told
}

func storedNames(r *notifytest.Recorder) []string {
	var names []string
	for _, f := range r.Stored() {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return names
}

// started waits until the first generation is ready and no earlier: what is in
// the store by then is what the configuration listens on.
func started(t *testing.T, s *Server, r *notifytest.Recorder, stored []string) {
	t.Helper()
	ready := r.Wait("READY", "1", Patience)
	if n := s.Log.Count("msg", "worker ready"); n != 2 {
		t.Errorf("%v when %d workers of 2 were ready", ready, n)
	}
	if status, _ := ready.Get("STATUS"); !strings.HasPrefix(status, "2 workers, generation 1,") {
		t.Errorf("ready with status %q", status)
	}
	if ready.PID != s.PID {
		t.Errorf("%v, the master is %d", ready, s.PID)
	}
	if got := storedNames(r); !slices.Equal(got, stored) {
		t.Errorf("the store holds %q, want %q", got, stored)
	}
	r.Wait("WATCHDOG", "1", Patience)
}

// What a service manager lives on, from the first start to the stop of a
// second master that gets what the first one left in the store.
func TestTheServiceManagerIsNotifiedInOrder(t *testing.T) {
	t.Parallel()
	r := notifytest.New(t)
	c := line(2)
	c.DrainTimeout = Patience
	path := filepath.Join(testdir.Short(t), "s")
	c.Listen = []string{"tcp://127.0.0.1:0", "unix://" + path}
	stored := []string{systemd.EscapeName("prefork tcp://127.0.0.1:0"), systemd.EscapeName("prefork unix://" + path)}

	s := managed(t, r, c, nil)
	for range stored {
		m := r.Wait("FDSTORE", "1", Patience)
		if name, _ := m.Get("FDNAME"); m.Files != 1 || !slices.Contains(stored, name) {
			t.Errorf("stored: %v", m)
		}
	}
	started(t, s, r, stored)
	network, address := s.Address("")

	good := reloads(t, s, r)
	if status, _ := good.Get("STATUS"); !strings.HasPrefix(status, "2 workers, generation 2,") {
		t.Errorf("after a good reload: %v", good)
	}
	s.WaitState("running") // the next is not to wait for its probation
	s.Break(`{"error": "no such thing"}`)
	bad := reloads(t, s, r)
	if status, _ := bad.Get("STATUS"); !strings.Contains(status, "no such thing") || !strings.Contains(status, "generation 2") {
		t.Errorf("after a bad reload: %v", bad)
	}
	if got, want := states(r, s.PID), []string{"READY", "RELOADING", "READY", "RELOADING", "READY"}; !slices.Equal(got, want) {
		t.Errorf("the manager was told %v, want %v", got, want)
	}

	old := s.WaitWorkers(2)
	s.Signal(syscall.SIGKILL)
	s.WaitExit()
	for _, w := range old.Workers { // until they know of it, they accept
		Wait(t, "the killed master's workers to leave", func() (bool, string) { return !Alive(w.PID), fmt.Sprint(w.PID) })
	}
	queued := []*Client{DialClient(t, network, address), DialClient(t, "unix", path)}
	c.Program.Tag = "successor"
	next := managed(t, r, c, r.Stored())
	started(t, next, r, stored)
	for _, client := range queued { // from when there was no master
		if answer := client.Ask("tag"); answer != "successor" {
			t.Errorf("a client in the queue of a stored listener got %q", answer)
		}
	}
	if _, now := next.Address(""); now != address {
		t.Errorf("the successor listens on %s, want the stored %s", now, address)
	}
	stops(t, next, r, queued[0])
	if got := storedNames(r); !slices.Equal(got, stored[:1]) {
		t.Errorf("the store holds %q after the stop, want the TCP listener alone", got)
	}
}

// stops sends TERM while a request is under way, which asks for more time, and
// once more, which does not wait for it.
func stops(t *testing.T, s *Server, r *notifytest.Recorder, client *Client) {
	t.Helper()
	client.Send("hang")
	s.WaitStatus("a request in its worker's hands", func(status *Status) bool { return status.Totals.Active >= 1 })
	s.Signal(syscall.SIGTERM)
	if m := r.Wait("STOPPING", "1", Patience); m.PID != s.PID {
		t.Errorf("%v, the master is %d", m, s.PID)
	}
	extend := r.WaitFor("EXTEND_TIMEOUT_USEC", Patience, func(m notifytest.Message) bool {
		_, found := m.Get("EXTEND_TIMEOUT_USEC")
		return found
	})
	text, _ := extend.Get("EXTEND_TIMEOUT_USEC")
	if n, err := strconv.Atoi(text); err != nil || n <= 0 {
		t.Errorf("asked for more time with %v", extend)
	}
	s.Signal(syscall.SIGTERM)
	s.WaitExit()
	if got, want := fmt.Sprint(states(r, s.PID)), "[READY STOPPING]"; got != want {
		t.Errorf("the manager was told %s, want %s", got, want)
	}
}
