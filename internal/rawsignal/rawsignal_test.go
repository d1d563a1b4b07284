package rawsignal

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

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
	case "notified":
		Discard(all...)
		c := make(chan os.Signal, len(all))
		signal.Notify(c, all...)
		for _, s := range all[:2] { // the runtime takes a SIGPIPE only from a write
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
