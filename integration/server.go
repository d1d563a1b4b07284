package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"prefork/integration/testconf"
	"prefork/internal/testdir"
)

// Server is a running master: the test server, or the command of StartCommand.
type Server struct {
	*Control
	Dir  string // has the configuration, the control socket and the log
	Log  *Log
	PID  int
	tb   testing.TB
	cmd  *exec.Cmd
	file string

	done  chan struct{} // closed once the process is reaped
	state *os.ProcessState
	stdin io.Closer // closing it ends the test server
	kill  sync.Once
}

// Start writes the configuration, starts the test server and waits until it is
// running. The default of Listen is one TCP address with a port that the kernel
// chooses.
func Start(tb testing.TB, c testconf.Config) *Server {
	tb.Helper()
	s := Launch(tb, c)
	s.WaitState("running")
	return s
}

// Launch is Start without waiting.
func Launch(tb testing.TB, c testconf.Config, args ...string) *Server {
	tb.Helper()
	dir := testdir.Short(tb)
	s := &Server{Dir: dir, file: filepath.Join(dir, "config.json")}
	if c.Control == "" {
		c.Control = filepath.Join(dir, "control")
	}
	s.Control = NewControl(c.Control)
	s.tb = tb
	s.Configure(c)
	command := exec.Command(Program(tb, "prefork/integration/testserver"), append([]string{"-exit-on-eof", "-config", s.file}, args...)...)
	s.start(command)
	return s
}

// StartCommand starts any master and does not wait. control is the path of its
// control socket, or "" if it has none.
func StartCommand(tb testing.TB, control string, command *exec.Cmd) *Server {
	tb.Helper()
	s := &Server{Dir: testdir.Short(tb), tb: tb, Control: NewControl(control)}
	s.start(command)
	return s
}

func (s *Server) start(command *exec.Cmd) {
	s.tb.Helper()
	path := filepath.Join(s.Dir, "log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	s.Log = NewLog(path)
	command.Stderr = log
	if command.Stdout == nil {
		command.Stdout = log
	}
	if s.stdin, err = command.StdinPipe(); err != nil {
		s.tb.Fatal(err)
	}
	if err := command.Start(); err != nil {
		s.tb.Fatal(err)
	}
	s.cmd, s.PID, s.done = command, command.Process.Pid, make(chan struct{})
	go func() {
		_ = command.Wait() // ProcessState has the result
		s.state = command.ProcessState
		close(s.done)
	}()
	s.tb.Cleanup(func() {
		s.Kill()
		if _, race, found := strings.Cut(s.Log.Text(), "WARNING: DATA RACE"); found { // see PREFORK_TEST_RACE
			s.tb.Errorf("data race in %s:%s", filepath.Base(command.Path), race[:min(len(race), 4000)])
		}
		if s.tb.Failed() {
			s.tb.Logf("end of the log of %s:\n%s", filepath.Base(command.Path), Tail(s.Log.Text(), 60))
		}
	})
}

// Configure rewrites the configuration file. Without c.Control, the control
// socket stays where it is.
func (s *Server) Configure(c testconf.Config) {
	s.tb.Helper()
	if len(c.Listen) == 0 {
		c.Listen = []string{"tcp://127.0.0.1:0"}
	}
	if c.Control == "" {
		c.Control = filepath.Join(s.Dir, "control")
	}
	if err := testconf.Write(s.file, c); err != nil {
		s.tb.Fatal(err)
	}
}

// Break replaces the contents of the configuration file with text.
func (s *Server) Break(text string) {
	s.tb.Helper()
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		s.tb.Fatal(err)
	}
}

// Kill ends the master and all its workers with SIGKILL and waits for the
// master.
func (s *Server) Kill() {
	s.kill.Do(func() {
		// List the children while the master runs: their pids cannot belong to
		// other processes yet.
		var children []int
		if !s.Exited() {
			children = Children(s.PID)
			_ = s.cmd.Process.Kill()
		}
		for _, pid := range children {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		<-s.done
		_ = s.stdin.Close()
	})
}

// Exited reports whether the master has exited.
func (s *Server) Exited() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// Signal sends a signal to the master.
func (s *Server) Signal(sig syscall.Signal) {
	s.tb.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.tb.Fatalf("send %v: %v", sig, err)
	}
}

// WaitExit waits until the master exits and returns its exit status, or -1 if a
// signal killed it.
func (s *Server) WaitExit() int {
	s.tb.Helper()
	Wait(s.tb, "the master to exit", func() (bool, string) {
		if s.Exited() {
			return true, ""
		}
		status, err := s.Status()
		return false, fmt.Sprint(status, err)
	})
	return s.state.ExitCode()
}

// WaitStatus waits until the status satisfies cond and returns it.
func (s *Server) WaitStatus(what string, cond func(*Status) bool) *Status {
	s.tb.Helper()
	var status *Status
	Wait(s.tb, what, func() (bool, string) {
		if s.Exited() {
			s.tb.Fatalf("the master exited with status %d while the test waited for %s", s.state.ExitCode(), what)
		}
		var err error
		if status, err = s.Status(); err != nil {
			return false, err.Error()
		}
		return cond(status), status.String()
	})
	return status
}

// WaitState waits until the master is in that state.
func (s *Server) WaitState(state string) *Status {
	s.tb.Helper()
	return s.WaitStatus("state "+state, func(status *Status) bool { return status.State == state })
}

// WaitWorkers waits until there are exactly n workers, all of the current
// generation and all serving.
func (s *Server) WaitWorkers(n int) *Status {
	s.tb.Helper()
	return s.WaitStatus(fmt.Sprintf("exactly %d workers", n), func(status *Status) bool {
		return len(status.Workers) == n && len(status.Serving()) == n
	})
}

// Do sends a command to the control socket. It fails the test unless the command
// succeeds.
func (s *Server) Do(command string) Answer {
	s.tb.Helper()
	a, err := s.Command(command)
	if err != nil {
		s.tb.Fatalf("%s: %v", command, err)
	}
	if !a.OK || a.Code != 200 {
		s.tb.Fatalf("%s: HTTP %d, %q", command, a.Code, a.Error)
	}
	return a
}

// Address returns the network and address of the listener with that name, or
// of the first if name is empty.
func (s *Server) Address(name string) (network, address string) {
	s.tb.Helper()
	status, err := s.Status()
	if err != nil {
		s.tb.Fatal(err)
	}
	for _, l := range status.Listeners {
		if name == "" || l.Name == name {
			return Network(l.Address)
		}
	}
	s.tb.Fatalf("no listener %q in %+v", name, status.Listeners)
	return "", ""
}

// Network splits an address of the status into the arguments of net.Dial.
func Network(address string) (network, addr string) {
	scheme, rest, found := strings.Cut(address, "://")
	switch {
	case found && scheme == "unix":
		return "unix", rest
	case found:
		return "tcp", rest
	case strings.HasPrefix(address, "/") || strings.HasPrefix(address, "@"):
		return "unix", address
	}
	return "tcp", address
}

// Dial connects to the first listener. The connection is closed when the test
// ends.
func (s *Server) Dial() *Client {
	s.tb.Helper()
	network, address := s.Address("")
	return DialClient(s.tb, network, address)
}

// Footprint waits until the master's footprint no longer changes and returns it.
// The last control request may take a moment to be closed.
func (s *Server) Footprint() Footprint {
	s.tb.Helper()
	var base Footprint
	same := 0
	Wait(s.tb, "the master's footprint to stay the same", func() (bool, string) {
		f := s.footprint()
		if f.Diff(base) != "" {
			base, same = f, 0
		}
		same++
		return same >= 5, f.String()
	})
	return base
}

func (s *Server) footprint() Footprint {
	s.tb.Helper()
	f, err := FootprintOf(s.PID)
	if err != nil {
		s.tb.Fatal(err)
	}
	return f
}

// WaitFootprint waits until the master's footprint equals base.
func (s *Server) WaitFootprint(base Footprint) {
	s.tb.Helper()
	Wait(s.tb, "the master's footprint to be "+base.String(), func() (bool, string) {
		diff := s.footprint().Diff(base)
		return diff == "", diff
	})
}

// Refused reports whether a connect to the address is refused, or its socket
// file does not exist.
func Refused(network, address string) bool {
	conn, err := net.Dial(network, address)
	if err == nil {
		_ = conn.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist)
}
