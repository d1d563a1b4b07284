package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Freezer stops all processes of a server for some time, as `docker pause`, a
// suspended machine or a stalled virtual machine does.
type Freezer interface {
	// Freeze stops the master and all workers for d, including workers that are
	// started meanwhile.
	Freeze(d time.Duration) error
}

// NewFreezer returns a freezer that uses the kernel's control groups. If they
// are not available, it uses SIGSTOP and SIGCONT.
func NewFreezer(tb testing.TB, s *Server) Freezer {
	tb.Helper()
	for _, kind := range []cgroupFreezer{
		{root: "/sys/fs/cgroup", file: "cgroup.freeze", freeze: "1", thaw: "0"},
		{root: "/sys/fs/cgroup/unified", file: "cgroup.freeze", freeze: "1", thaw: "0"},
		{root: "/sys/fs/cgroup/freezer", file: "freezer.state", freeze: "FROZEN", thaw: "THAWED"},
	} {
		if f, ok := kind.take(tb, s.PID); ok {
			return f
		}
	}
	tb.Log("the freezer of control groups is not available: using SIGSTOP")
	return signalFreezer{s}
}

// cgroupFreezer freezes a control group that holds only the server.
type cgroupFreezer struct {
	root, file   string
	freeze, thaw string
	dir          string
}

// take creates the group and moves the master and its workers into it. Workers
// that are started later are in it too. The group is removed when the test ends.
func (f cgroupFreezer) take(tb testing.TB, master int) (cgroupFreezer, bool) {
	f.dir = filepath.Join(f.root, fmt.Sprintf("prefork-test-%d", master))
	if os.Mkdir(f.dir, 0o700) != nil {
		return f, false
	}
	if _, err := os.Stat(filepath.Join(f.dir, f.file)); err != nil { // no control group
		_ = os.Remove(f.dir)
		return f, false
	}
	tb.Cleanup(func() {
		_ = f.write(f.file, f.thaw)
		Wait(tb, "the control group to be empty", func() (bool, string) {
			members, _ := os.ReadFile(filepath.Join(f.dir, "cgroup.procs"))
			for pid := range strings.FieldsSeq(string(members)) { // move them out, so that the group can be removed
				_ = os.WriteFile(filepath.Join(f.root, "cgroup.procs"), []byte(pid), 0o600)
			}
			err := os.Remove(f.dir)
			return err == nil || os.IsNotExist(err), fmt.Sprint(err)
		})
	})
	for _, pid := range append([]int{master}, Children(master)...) {
		if err := f.write("cgroup.procs", strconv.Itoa(pid)); err != nil && pid == master {
			return f, false
		}
	}
	return f, true
}

func (f cgroupFreezer) write(file, text string) error {
	return os.WriteFile(filepath.Join(f.dir, file), []byte(text), 0o600)
}

// Freeze implements Freezer.
func (f cgroupFreezer) Freeze(d time.Duration) error {
	if err := f.write(f.file, f.freeze); err != nil {
		return err
	}
	pass(d)
	return f.write(f.file, f.thaw)
}

// signalFreezer stops each process with a signal.
type signalFreezer struct{ s *Server }

// Freeze implements Freezer. The master stops first and continues last, so that
// it does not start a worker that is not stopped.
func (f signalFreezer) Freeze(d time.Duration) error {
	if err := syscall.Kill(f.s.PID, syscall.SIGSTOP); err != nil {
		return err
	}
	workers := Children(f.s.PID)
	for _, pid := range workers {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	pass(d)
	for _, pid := range workers {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	return syscall.Kill(f.s.PID, syscall.SIGCONT)
}

// pass waits for d, where the duration itself is what a test needs, such as the
// length of a freeze. Use Wait to wait for an event.
func pass(d time.Duration) { <-time.After(d) }

// RSS returns the resident memory of a process in bytes, or 0.
func RSS(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			return kb << 10
		}
	}
	return 0
}
