package livefork

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
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
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

var roles = map[string]func() error{
	"self-test": func() error { return SelfTest(context.Background(), 300) },
}

// built is this test as a program without cgo, so that it can be forked on machines
// that have a C compiler and in a run with the race detector too.
var built struct {
	once sync.Once
	dir  string
	out  []byte
	err  error
}

func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "prefork-livefork-"); built.err != nil {
			return
		}
		cmd := exec.Command("go", "test", "-c", "-o", filepath.Join(built.dir, "program"), ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		built.out, built.err = cmd.CombinedOutput()
	})
	if built.err != nil {
		t.Fatalf("build the program that is forked: %v\n%s", built.err, built.out)
	}
	return filepath.Join(built.dir, "program")
}

// role runs a role in a process with one P and returns what it printed.
func role(t *testing.T, name string, env ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(program(t))
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "PREFORK_TEST_ROLE="+name)
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func TestChildrenServeConnections(t *testing.T) {
	if out, err := role(t, "self-test"); err != nil || out != "end" {
		t.Errorf("the self-test printed %q and ended with %v", out, err)
	}
}
