//go:build amd64 || arm64

package forkexec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/forkexec/firstlimit"
)

// TestMain runs a role if a test has started the process.
func TestMain(m *testing.M) {
	switch os.Getenv("PREFORK_TEST_ROLE") {
	case "":
		os.Exit(m.Run())
	case "wait": // until the end of standard input
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "files":
		for fd := range 6 {
			name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
			if err != nil {
				name = "closed"
			}
			fmt.Fprintf(os.Stderr, "%d %s\n", fd, name)
		}
	case "limit": // of a program that it starts
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{"PREFORK_TEST_ROLE=own limit"}
		cmd.Stderr = os.Stderr
		_ = cmd.Run()
	case "own limit":
		fmt.Fprintf(os.Stderr, "%d", firstlimit.Files[0])
	case "start limit": // as the master
		start := []string{"PREFORK_TEST_ROLE=limit"}
		pid, pidfd, err := Start("/proc/self/exe", []string{"x"}, start, []int{0, 1, 2})
		if err != nil {
			os.Exit(1)
		}
		_ = unix.Close(pidfd)
		_, _ = unix.Wait4(pid, nil, 0, nil)
	}
	os.Exit(0)
}

// process is a child that was started by Start.
type process struct {
	t      *testing.T
	pid    int
	pidfd  int
	stdin  *os.File // closing it ends the role wait
	stderr *os.File
}

func begin(t *testing.T, role string) *process {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	stderr, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, stdin: write, stderr: stderr}
	env := append(os.Environ(), "PREFORK_TEST_ROLE="+role, "GORACE=atexit_sleep_ms=0")
	// The numbers overlap: the pipe is above them, and 1 comes from the place of 0.
	files := []int{int(read.Fd()), int(stderr.Fd()), int(stderr.Fd()), 1, 0}
	if p.pid, p.pidfd, err = Start("/proc/self/exe", os.Args[:1], env, files); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stderr.Close() })
	return p
}

// end ends the process and returns its status.
func (p *process) end() unix.WaitStatus {
	p.t.Helper()
	_ = p.stdin.Close()
	defer unix.Close(p.pidfd)
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(p.pid, &status, unix.WUNTRACED, nil)
		switch {
		case err == nil && status.Stopped():
			_ = unix.Kill(p.pid, unix.SIGKILL)
			p.t.Errorf("stopped by signal %v", status.StopSignal())
		case err == nil:
			return status
		case err != unix.EINTR:
			p.t.Fatal(err)
		}
	}
}

func (p *process) said() string {
	p.t.Helper()
	b, err := os.ReadFile(p.stderr.Name())
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// status returns a field of /proc/PID/status.
func (p *process) status(field string) string {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), field+":")
	value, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(value)
}

// None of 100 processes dies or stops, at whatever moment it gets a signal.
func TestAProcessThatStartsSurvivesSignals(t *testing.T) {
	for i := range 100 {
		p := begin(t, "wait")
		for range i % 20 { // gives it more time
			_ = p.status("State")
		}
		for _, s := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGTTIN, unix.SIGTTOU} {
			if err := unix.Kill(p.pid, s); err != nil {
				t.Fatal(err)
			}
		}
		if s := p.end(); !s.Exited() || s.ExitStatus() != 0 {
			t.Fatalf("process %d ended with signal %v, status %d", i, s.Signal(), s.ExitStatus())
		}
	}
}

func TestSignalsOfTheNewProcess(t *testing.T) {
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, unix.SIGHUP, unix.SIGUSR1, unix.SIGWINCH) // in the parent, without effect on the child
	defer signal.Stop(heard)
	p := begin(t, "wait")
	mask, err := strconv.ParseUint(p.status("SigIgn"), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	if want := uint64(1<<(unix.SIGHUP-1) | 1<<(unix.SIGINT-1)); mask&want != want {
		t.Errorf("ignores %#x, want at least %#x", mask, want)
	}
	// The runtime blocks all signals for a moment while it starts a thread.
	for deadline := time.Now().Add(10 * time.Second); strings.Trim(p.status("SigBlk"), "0") != ""; {
		if time.Now().After(deadline) {
			t.Fatalf("blocks %s", p.status("SigBlk"))
		}
	}
	if pgid, err := unix.Getpgid(p.pid); pgid != p.pid {
		t.Errorf("is in the process group %d, %v; want its own", pgid, err)
	}
	p.end()
	if err := unix.Kill(os.Getpid(), unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if s := <-heard; s != unix.SIGHUP {
		t.Errorf("the parent got %v", s)
	}
}

func TestFilesOfTheNewProcess(t *testing.T) {
	p := begin(t, "files")
	p.end()
	lines := strings.Split(p.said(), "\n")
	name := func(fd string) string {
		name, _ := os.Readlink("/proc/self/fd/" + fd)
		return name
	}
	for fd, want := range []string{"pipe:", p.stderr.Name(), p.stderr.Name(), name("1"), name("0")} {
		if got := lines[fd]; !strings.HasPrefix(got, fmt.Sprintf("%d %s", fd, want)) {
			t.Errorf("descriptor %q, want %s", got, want)
		}
	}
	if strings.Contains(lines[5], filepath.Base(p.stderr.Name())) {
		t.Errorf("one descriptor too many: %s", lines[5])
	}
}

func TestAProgramThatDoesNotExistIsAnError(t *testing.T) {
	before, _ := os.ReadDir("/proc/self/fd")
	for range 3 {
		pid, _, err := Start("/no/such/program", []string{"x"}, nil, []int{0, 1, 2})
		if err == nil || pid != 0 {
			t.Fatalf("started process %d, %v", pid, err)
		}
		if !errors.Is(err, unix.ENOENT) {
			t.Errorf("error %v, want ENOENT", err)
		}
	}
	if after, _ := os.ReadDir("/proc/self/fd"); len(after) != len(before) {
		t.Errorf("%d descriptors before, %d after", len(before), len(after))
	}
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("a child is not reaped: %v", err)
	}
}

// Programs started by a worker have the limit of open files with which the master
// started, not the limit to which Go's runtime has raised it.
func TestTheLimitOfOpenFilesIsTheFirstOne(t *testing.T) {
	const limit = 64
	for _, role := range []string{"own limit", "start limit"} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{"PREFORK_TEST_ROLE=" + role}
		var out bytes.Buffer
		cmd.Stderr = &out
		was := lower(t, limit)
		err := cmd.Start()
		lower(t, was)
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		if out.String() != strconv.Itoa(limit) {
			t.Errorf("%s: the limit is %s, want %d", role, out.String(), limit)
		}
	}
}

// lower sets the soft limit and returns the old one.
func lower(t *testing.T, n uint64) uint64 {
	t.Helper()
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	was := l.Cur
	l.Cur = n
	// Package syscall would give children the old limit.
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	return was
}
