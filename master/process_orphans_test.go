package master

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ended starts a process that exits at once and waits until it is a zombie.
func ended(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	awaitZombie(t, cmd.Process.Pid)
	return cmd
}

func awaitZombie(t *testing.T, pid int) {
	t.Helper()
	var err error = unix.EINTR
	for err == unix.EINTR {
		err = unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
	}
	if err != nil {
		t.Fatalf("wait for process %d: %v", pid, err)
	}
}

// The program may wait at any time for a child that it started itself.
func TestTheProgramsOwnChildrenAreNotReaped(t *testing.T) {
	cmd := ended(t)
	r := reaper{proc: "/proc/self", grace: time.Second}
	now := time.Now()
	for i := range 5 {
		if reaped := r.reap(now.Add(time.Duration(i) * time.Hour)); len(reaped) > 0 {
			t.Fatalf("reaped %v", reaped)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("Wait of the program's own child: %v", err)
	}
}

// This process has no pidfd of an orphan, or of a child of syscall.ForkExec.
func TestAnOrphanIsReapedAfterTheGrace(t *testing.T) {
	first := ended(t) // precedes it in the kernel's list
	pid, err := syscall.ForkExec(os.Args[0], []string{os.Args[0], "-test.run=^$"}, &syscall.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	awaitZombie(t, pid)
	r := reaper{proc: "/proc/self", grace: time.Minute}
	now := time.Now()
	for _, look := range []time.Duration{0, 59 * time.Second} {
		if reaped := r.reap(now.Add(look)); len(reaped) > 0 {
			t.Fatalf("after %v: reaped %v", look, reaped)
		}
	}
	if reaped := r.reap(now.Add(time.Minute)); len(reaped) != 1 || reaped[0] != pid {
		t.Errorf("after the grace: reaped %v, want %d", reaped, pid)
	}
	if err := first.Wait(); err != nil {
		t.Errorf("Wait of the program's own child: %v", err)
	}
}

// Without /proc/self/fdinfo, an orphan cannot be distinguished from a child of the program.
func TestNothingIsReapedWithoutFdinfo(t *testing.T) {
	cmd := ended(t)
	r := reaper{proc: t.TempDir()}
	for range 3 {
		if reaped := r.reap(time.Now()); len(reaped) > 0 {
			t.Fatalf("reaped %v", reaped)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
