package master

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecondMasterIsToldWhoHoldsThePIDFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	held, err := lockPIDFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(path); string(data) != fmt.Sprintln(os.Getpid()) {
		t.Errorf("pid file holds %q", data)
	}
	_, err = lockPIDFile(path)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("second lock = %v, want an error that names the holder", err)
	}
	held.remove()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stat after remove = %v", err)
	}
}

func TestPIDFileOfADeadMasterIsTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(path, []byte("4194304\nlonger than any pid\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := lockPIDFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer p.remove()
	if data, _ := os.ReadFile(path); string(data) != fmt.Sprintln(os.Getpid()) {
		t.Errorf("pid file holds %q", data)
	}
}
