package livefork

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestMain runs a role if a test has started the process. A role is a program that is
// forked: the process of the tests itself has threads, goroutines and perhaps cgo.
func TestMain(m *testing.M) {
	if name := os.Getenv("PREFORK_TEST_ROLE"); name != "" {
		if err := roles[name](); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("end")
		os.Exit(0)
	}
	code := m.Run()
	for _, p := range []*build{&withoutCgo, &withCgo} {
		if p.dir != "" {
			_ = os.RemoveAll(p.dir)
		}
	}
	os.Exit(code)
}

// build is this test as a program. Without cgo it can be forked on machines that have
// a C compiler and in a run with the race detector too.
type build struct {
	cgo  string
	once sync.Once
	dir  string
	out  []byte
	err  error
}

var (
	withoutCgo = build{cgo: "CGO_ENABLED=0"}
	withCgo    = build{cgo: "CGO_ENABLED=1"}
)

func (b *build) program(t *testing.T) string {
	t.Helper()
	b.once.Do(func() {
		if b.dir, b.err = os.MkdirTemp("", "prefork-livefork-"); b.err != nil {
			return
		}
		cmd := exec.Command("go", "test", "-c", "-o", filepath.Join(b.dir, "program"), ".")
		cmd.Env = append(os.Environ(), b.cgo)
		b.out, b.err = cmd.CombinedOutput()
	})
	if b.err != nil {
		t.Fatalf("build the program that is forked: %v\n%s", b.err, b.out)
	}
	return filepath.Join(b.dir, "program")
}

// roleTime bounds a role. Most take less than a second. After SIGQUIT or SIGABRT with
// GOTRACEBACK=crash, the runtime of a child waits ten seconds for threads that it lacks.
const roleTime = 60 * time.Second

// role runs a role in a process with one P and returns what it printed.
func role(t *testing.T, name string, env ...string) (string, error) {
	t.Helper()
	return roleOf(t, &withoutCgo, name, env...)
}

func roleOf(t *testing.T, b *build, name string, env ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), b.program(t))
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "PREFORK_TEST_ROLE="+name)
	cmd.Env = append(cmd.Env, env...)
	timer := time.AfterFunc(roleTime, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// mustEnd runs a role that reports its failures by itself.
func mustEnd(t *testing.T, name string, env ...string) {
	t.Helper()
	if out, err := role(t, name, env...); err != nil || !strings.HasSuffix(out, "end") {
		t.Errorf("the process printed %q and ended with %v", out, err)
	}
}

// newForker returns a Forker whose children are this process's own.
func newForker() (*Forker, error) {
	f, err := New()
	if err == nil {
		f.flags = uintptr(unix.SIGCHLD)
	}
	return f, err
}

// forkEach makes n children, one after the other, and calls before in this process each
// time. Each child runs work with its number,
// which returns its exit status. Each must end as want says.
func forkEach(f *Forker, n int, want unix.WaitStatus, work func(i int) int, before ...func()) error {
	for i := range n {
		for _, b := range before {
			b()
		}
		c, err := f.Fork()
		for try := 1; err != nil && try < 20 && crowded(err); try++ {
			c, err = f.Fork()
		}
		if err != nil {
			return err
		}
		if c.PID == 0 {
			os.Exit(work(i))
		}
		if err := endsAs(c.PID, want); err != nil {
			return fmt.Errorf("child %d: %w", i, err)
		}
		for _, pid := range c.Stillborn {
			if err := endsAs(pid, exited(Stillborn)); err != nil {
				return fmt.Errorf("stillborn child %d: %w", i, err)
			}
		}
	}
	return nil
}

// crowded reports whether a fork failed because threads did not get to run.
func crowded(err error) bool {
	c, ok := err.(*Condition)
	return ok && c.restless
}

// childTime bounds what one child does.
const childTime = 20 * time.Second

// endsAs waits for a child of this process.
func endsAs(pid int, want unix.WaitStatus) error {
	for end := time.Now().Add(childTime); ; nap(time.Millisecond) {
		switch got, status, err := rawWait(pid); {
		case got == pid && status&^core != want:
			return fmt.Errorf("ended with wait status %#x, want %#x", status, want)
		case got == pid:
			return nil
		case err != nil && err != unix.EINTR:
			return err
		case time.Now().After(end):
			_ = unix.Kill(pid, unix.SIGKILL)
			return fmt.Errorf("hangs")
		}
	}
}

// rawWait is wait4(2) without waiting. It keeps P.
func rawWait(pid int) (int, unix.WaitStatus, error) {
	var status unix.WaitStatus
	got, _, errno := syscall.RawSyscall6(unix.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(&status)), unix.WNOHANG, 0, 0, 0)
	if errno != 0 {
		return 0, 0, errno
	}
	return int(got), status, nil
}

const core = unix.WaitStatus(0x80) // it dumped core

func exited(status int) unix.WaitStatus         { return unix.WaitStatus(status << 8) }
func killed(signal unix.Signal) unix.WaitStatus { return unix.WaitStatus(signal) }
