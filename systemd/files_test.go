package systemd_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/needtool"
	"prefork/internal/testdir"
	"prefork/systemd"
)

// noExitSleep disables the second that a process with the race detector waits at
// its exit.
const noExitSleep = "GORACE=atexit_sleep_ms=0"

// activate runs the helper with descriptors from 3 on and the helper's pid in
// LISTEN_PID. A shell sets LISTEN_PID and executes the helper.
func activate(t *testing.T, files []*os.File, env ...string) helperReport {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, self)
	cmd.Env = append(systemd.Environ(os.Environ()), env...)
	cmd.Env = append(cmd.Env, helperVariable+"=1", noExitSleep)
	cmd.ExtraFiles = files
	cmd.Stderr = os.Stderr
	return report(t, cmd)
}

func report(t *testing.T, cmd *exec.Cmd) helperReport {
	t.Helper()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("activated helper: %v: %s", err, out)
	}
	var r helperReport
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("activated helper printed %q: %v", out, err)
	}
	return r
}

// asFile returns a copy of fd for a child.
func asFile(t *testing.T, fd int) *os.File {
	t.Helper()
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(dup), "passed")
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestAnActivatedProcessFindsItsSocketsByName(t *testing.T) {
	checkDescriptors(t)
	path := filepath.Join(testdir.Short(t), "s")
	tcp := socket(t, unix.AF_INET, unix.SOCK_STREAM, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, true)
	local := socket(t, unix.AF_UNIX, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: path}, true)
	r := activate(t, []*os.File{asFile(t, tcp), asFile(t, local)}, "LISTEN_FDS=2", "LISTEN_FDNAMES=http:admin", "LISTEN_PIDFDID=1")
	if r.Error != "" {
		t.Fatal(r.Error)
	}
	if want := []systemd.File{{FD: 3, Name: "http"}, {FD: 4, Name: "admin"}}; !slices.Equal(r.Files, want) {
		t.Errorf("got files %v, want %v", r.Files, want)
	}
	if !r.Sockets[0].Stream() || r.Sockets[0].Network != "tcp4" || !r.Sockets[1].Stream() || r.Sockets[1].Address != path {
		t.Errorf("got sockets %+v", r.Sockets)
	}
	if len(r.Inherit) > 0 {
		t.Errorf("descriptors %v are not close-on-exec", r.Inherit)
	}
	if len(r.Left) > 0 {
		t.Errorf("the environment still has %v", r.Left)
	}
}

func TestADescriptorThatWasNotPassedIsReported(t *testing.T) {
	checkDescriptors(t)
	// The runtime opens descriptors after the passed one, so the number must be
	// much higher.
	r := activate(t, []*os.File{asFile(t, 0)}, "LISTEN_FDS=200")
	for _, says := range []string{"LISTEN_FDS", "bad file descriptor"} {
		if !strings.Contains(r.Error, says) {
			t.Errorf("got error %q, want %q in it", r.Error, says)
		}
	}
	if r.Files != nil {
		t.Errorf("got files %v beside the error", r.Files)
	}
	if len(r.Left) > 0 {
		t.Errorf("after the error the environment still has %v", r.Left)
	}
}

func TestFilesKeepsTheEnvironmentUnlessTold(t *testing.T) {
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()+1)) // not 1, which may be this process
	t.Setenv("LISTEN_FDS", "1")
	for _, unset := range []bool{false, true} {
		if files, err := systemd.Files(unset); files != nil || err != nil {
			t.Errorf("files for another process: got %v, %v", files, err)
		}
		if _, there := os.LookupEnv("LISTEN_FDS"); there == unset {
			t.Errorf("unset %v: LISTEN_FDS there: %v", unset, there)
		}
	}
}

func TestWatchdogIntervalKeepsTheEnvironmentUnlessTold(t *testing.T) {
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid())) // in case the environment has one for another process
	t.Setenv("WATCHDOG_USEC", "2000000")
	for _, unset := range []bool{false, true} {
		if d, err := systemd.WatchdogInterval(unset); d != 2*time.Second || err != nil {
			t.Errorf("got %v, %v", d, err)
		}
		if _, there := os.LookupEnv("WATCHDOG_USEC"); there == unset {
			t.Errorf("unset %v: WATCHDOG_USEC there: %v", unset, there)
		}
	}
}

func TestTheRealActivatorIsUnderstood(t *testing.T) {
	activator := needtool.Need(t, "systemd-socket-activate", "systemd")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(testdir.Short(t), "s")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, activator, "-l", path, "--fdname=http", "-E", helperVariable+"=1", "-E", noExitSleep, self)
	listening := &awaited{text: "Listening on", seen: make(chan struct{})}
	cmd.Stderr = listening
	knocked := make(chan error, 1)
	go func() {
		select {
		case <-listening.seen:
		case <-ctx.Done():
		}
		conn, err := net.Dial("unix", path)
		if err == nil {
			err = conn.Close()
		}
		knocked <- err
	}()
	r := report(t, cmd)
	if err := <-knocked; err != nil {
		t.Errorf("connect to the activator: %v", err)
	}
	if r.Error != "" || !slices.Equal(r.Files, []systemd.File{{FD: 3, Name: "http"}}) || !r.Sockets[0].Stream() {
		t.Errorf("got %+v", r)
	}
}

// awaited is a Writer that reports when a text was written. One goroutine writes.
type awaited struct {
	text string
	got  strings.Builder
	seen chan struct{}
}

func (a *awaited) Write(p []byte) (int, error) {
	before := strings.Contains(a.got.String(), a.text)
	a.got.Write(p)
	if !before && strings.Contains(a.got.String(), a.text) {
		close(a.seen)
	}
	return len(p), nil
}
