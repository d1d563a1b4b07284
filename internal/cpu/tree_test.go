package cpu

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// The test binary also runs as a child that uses CPU time, itself or in its
// children. It reports that and runs until the end of its input.
const roleVariable = "PREFORK_CPU_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "burn":
		burn()
	case "reap":
		command := exec.Command("/proc/self/exe")
		command.Env = append(os.Environ(), roleVariable+"=burn once")
		if err := command.Run(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	case "parent":
		command := exec.Command("/proc/self/exe")
		command.Env = append(os.Environ(), roleVariable+"=burn")
		command.Stdin, command.Stdout = os.Stdin, os.Stdout
		if err := command.Run(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	case "burn once":
		burn()
		return
	default:
		os.Exit(m.Run())
	}
	fmt.Println("burnt")
	var end [1]byte
	_, _ = os.Stdin.Read(end[:])
}

// burnt is the minimal CPU time of a role.
const burnt = 60 * time.Millisecond

func burn() {
	for {
		used, err := processClock(os.Getpid())
		if err != nil || used >= burnt {
			return
		}
	}
}

// child starts a role and waits until it has used its CPU time.
func child(t *testing.T, role string) int {
	t.Helper()
	command := exec.Command("/proc/self/exe")
	command.Env = append(os.Environ(), roleVariable+"="+role)
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = command.Wait()
	})
	line := make([]byte, 100)
	n, err := out.Read(line)
	if got := strings.TrimSpace(string(line[:n])); got != "burnt" {
		t.Fatalf("role %s printed %q (%v)", role, got, err)
	}
	return command.Process.Pid
}

func TestTreeCountsTheLivingAndTheReaped(t *testing.T) {
	for _, c := range []struct{ role, what string }{
		{"burn", "the process itself"},
		{"parent", "a living child"},
		{"reap", "a reaped child"},
	} {
		t.Run(c.what, func(t *testing.T) {
			got, err := Tree(child(t, c.role))
			// The time of reaped children is the sum of two counts of whole ticks.
			if err != nil || got < burnt-2*tick {
				t.Errorf("Tree = %v, %v; want at least %v", got, err, burnt-2*tick)
			}
		})
	}
}

func TestTreeExcludesOtherProcesses(t *testing.T) {
	child(t, "burn")
	idle := child(t, "reap") // a process outside of the other's tree
	before, err := processClock(idle)
	if err != nil {
		t.Fatal(err)
	}
	all, err := processes()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Tree(idle)
	if limit := before + all[idle].reaped + 10*time.Millisecond; err != nil || got > limit {
		t.Errorf("Tree = %v, %v; want at most %v", got, err, limit)
	}
}

func TestTheTreeOfAnEndedProcessIsAnError(t *testing.T) {
	command := exec.Command("true")
	if err := command.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := Tree(command.Process.Pid); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("error is %v, want %v", err, os.ErrProcessDone)
	}
	if _, err := processClock(command.Process.Pid); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("clock: error is %v, want %v", err, os.ErrProcessDone)
	}
}

func TestStatIsReadWhateverTheProcessIsCalled(t *testing.T) {
	const rest = " S 42 7 7 0 -1 4194304 1 0 0 0 11 22 33 44 20 0 1 0 5"
	want := process{parent: 42, reaped: 77 * tick}
	for _, name := range []string{"x", "a b", ") S 1 (", "", "((("} {
		got, err := parseStat([]byte("9 (" + name + ")" + rest))
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", name, got, err, want)
		}
	}
	for _, line := range []string{"", "9 x", "9 (x) S 1 2", "9 (x) S y 7 7 0 -1 4194304 1 0 0 0 11 22 33 44"} {
		if got, err := parseStat([]byte(line)); err == nil {
			t.Errorf("%q was read as %+v", line, got)
		}
	}
}

func TestMembersAndRootsAreTheTree(t *testing.T) {
	parent := child(t, "parent")
	members, err := Members(parent)
	if err != nil || len(members) != 2 || !slices.Contains(members, parent) {
		t.Fatalf("Members = %v, %v", members, err)
	}
	if roots, err := Roots(members); err != nil || len(roots) != 1 || roots[0] != parent {
		t.Errorf("Roots = %v, %v, want only %d", roots, err, parent)
	}
	if _, err := Members(1 << 30); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("error is %v, want %v", err, os.ErrProcessDone)
	}
}
