package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"prefork"
	"prefork/internal/testdir"
)

// The test binary runs as prefork if asVariable is set, or if such a master
// starts it as a worker.
const asVariable = "PREFORK_TEST_MAIN"

func TestMain(m *testing.M) {
	if prefork.IsWorker() || os.Getenv(asVariable) == "1" {
		main()
	}
	os.Exit(m.Run())
}

// result is the result of a command.
type result struct {
	status         int
	stdout, stderr string
}

// runHere runs a command in this process.
func runHere(args ...string) result {
	var stdout, stderr bytes.Buffer
	// With nil, Cobra would use the arguments of the test binary.
	status := run(append([]string{}, args...), &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

// preforkCommand returns a command that runs prefork in a new process. The
// process is killed when the test ends.
func preforkCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), asVariable+"=1")
	return cmd
}

// runProcess runs a command in a new process.
func runProcess(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := preforkCommand(t, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // ProcessState has the result
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// place sets an environment without servers and returns its directory, which has
// a short path.
func place(t *testing.T) string {
	t.Helper()
	dir := testdir.Short(t)
	t.Setenv("RUNTIME_DIRECTORY", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("TMPDIR", dir)
	return dir
}

// fake opens a control socket with the test's answers.
func fake(t *testing.T, h http.HandlerFunc) (path string) {
	t.Helper()
	path = filepath.Join(place(t), "c.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-ended
	})
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
