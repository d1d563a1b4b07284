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

// The test binary is prefork itself when asVariable is set, and when a master
// that it became starts it as a worker.
const asVariable = "PREFORK_TEST_MAIN"

func TestMain(m *testing.M) {
	if prefork.IsWorker() || os.Getenv(asVariable) == "1" {
		main()
	}
	os.Exit(m.Run())
}

// result is how a command ended.
type result struct {
	status         int
	stdout, stderr string
}

// runHere runs a command in this process.
func runHere(args ...string) result {
	var stdout, stderr bytes.Buffer
	// Cobra takes nil for the arguments of the test binary.
	status := run(append([]string{}, args...), &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

// preforkCommand returns the command as a process of its own, which ends with
// the test at the latest.
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

// runProcess runs a command as a process of its own.
func runProcess(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := preforkCommand(t, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // its status says it
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// place gives the test a world without servers, in a directory whose path is
// short enough for sockets, and returns the directory.
func place(t *testing.T) string {
	t.Helper()
	dir := testdir.Short(t)
	t.Setenv("RUNTIME_DIRECTORY", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("TMPDIR", dir)
	return dir
}

// fake is a control socket that answers as a test wants.
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
