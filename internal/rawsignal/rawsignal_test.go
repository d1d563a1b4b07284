package rawsignal

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/needtool"
)

var all = []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE}

// TestMain runs a role if a test has started the process.
func TestMain(m *testing.M) {
	switch os.Getenv("PREFORK_TEST_ROLE") {
	case "":
		os.Exit(m.Run())
	case "signals":
		Discard(all...)
		for range 100 {
			for _, s := range all {
				_ = syscall.Kill(os.Getpid(), s.(syscall.Signal))
			}
		}
	case "broken output":
		Discard(all...)
		for range 3 {
			if _, err := fmt.Println("x"); err == nil {
				os.Exit(1)
			}
		}
	case "program":
		Discard(all...)
		out, _ := exec.Command("grep", "SigIgn", "/proc/self/status").Output()
		fmt.Print(string(out))
	case "counted":
		if !counted() {
			os.Exit(1)
		}
	case "notified":
		Discard(all...)
		if Count(syscall.SIGTERM, 2) != nil {
			os.Exit(1)
		}
		c := make(chan os.Signal, len(all))
		signal.Notify(c, all...)
		signal.Notify(c, syscall.SIGTERM)
		for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} { // the runtime takes a SIGPIPE only from a write
			_ = syscall.Kill(os.Getpid(), s.(syscall.Signal))
			if got := <-c; got != s {
				os.Exit(1)
			}
		}
	}
	fmt.Println("end")
	os.Exit(0)
}

func role(name string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "PREFORK_TEST_ROLE="+name)
	return cmd
}

func TestDiscardedSignalsDoNothing(t *testing.T) {
	if out, err := role("signals").CombinedOutput(); err != nil || string(out) != "end\n" {
		t.Errorf("the process printed %q and ended with %v", out, err)
	}
}

func TestABrokenOutputDoesNotEndTheProcess(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = read.Close()
	defer write.Close()
	cmd := role("broken output")
	cmd.Stdout = write
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
}

func TestProgramsDoNotInheritThatSignalsAreDiscarded(t *testing.T) {
	needtool.Need(t, "grep", "grep")
	out, err := role("program").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	var mask uint64
	if _, err := fmt.Sscanf(strings.TrimPrefix(string(out), "SigIgn:"), "%x", &mask); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	for _, s := range all {
		if mask&(1<<(s.(syscall.Signal)-1)) != 0 {
			t.Errorf("a program ignores %v", s)
		}
	}
}

func TestNotifyGetsASignalThatWasDiscarded(t *testing.T) {
	if out, err := role("notified").CombinedOutput(); err != nil || string(out) != "end\n" {
		t.Errorf("the process printed %q and ended with %v", out, err)
	}
}

// counted sends the process a signal many times, from several threads, and says whether
// each was counted.
func counted() bool {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil || Count(syscall.SIGTERM, fd) != nil {
		return false
	}
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			runtime.LockOSThread() // never unlocked: the thread is the goroutine's
			for range 250 {
				// The thread has run the handler when the call returns.
				_ = unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGTERM)
			}
		})
	}
	senders.Wait()
	var count [8]byte
	_, err = unix.Read(fd, count[:])
	return err == nil && binary.NativeEndian.Uint64(count[:]) == 1000
}

func TestEachSignalIsCounted(t *testing.T) {
	if out, err := role("counted").CombinedOutput(); err != nil || string(out) != "end\n" {
		t.Errorf("the process printed %q and ended with %v", out, err)
	}
}
