package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"prefork/internal/testdir"
)

// The master starts workers from its own image, even if the file on disk was
// replaced. So an unfinished deployment does not mix versions.
func TestAReplacedBinaryStartsNoWorker(t *testing.T) {
	dir := testdir.Short(t)
	binary, control := filepath.Join(dir, "prefork"), filepath.Join(dir, "control")
	program, err := os.ReadFile(Program(t, "prefork/cmd/prefork"))
	if err == nil {
		err = os.WriteFile(binary, program, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "prefork.toml")
	if err := os.WriteFile(config, []byte(goodConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	s := StartCommand(t, control, exec.Command(binary, "serve", "--config", config, "--control", control))
	s.WaitState("running")

	// A package manager writes the new file under another name first.
	if err := os.WriteFile(binary+".new", []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(binary+".new", binary); err != nil {
		t.Fatal(err)
	}
	if answer := s.Do("reload"); !answer.OK {
		t.Fatalf("reload: %+v", answer)
	}
	gone := s.WaitWorkers(2).Serving()[0].PID
	kill(t, gone, syscall.SIGKILL)
	s.WaitStatus("a replacement", func(status *Status) bool {
		return status.Worker(gone) == nil && len(status.Serving()) == 2
	})
	master, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.PID))
	if err != nil || !strings.HasSuffix(master, " (deleted)") {
		t.Fatalf("the master runs %q, %v; want the file that was replaced", master, err)
	}
	for _, w := range s.WaitWorkers(2).Serving() {
		if image, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", w.PID)); image != master {
			t.Errorf("worker %d runs %q, %v; want %q", w.PID, image, err, master)
		}
	}
	network, address := s.Address("")
	if answer, err := Asks(network, address, "still here"); answer != "STILL HERE" {
		t.Error(answer, err)
	}
}
