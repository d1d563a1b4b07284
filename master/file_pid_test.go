package master

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSecondMasterLearnsWhoHoldsThePIDFile(t *testing.T) {
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

// Any user may read the file.
func TestAReaderOfThePIDFileCannotBlockAMaster(t *testing.T) {
	for name, lock := range map[string]func(f *os.File) error{
		"flock": func(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) },
		"a read lock": func(f *os.File) error {
			return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_RDLCK})
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pid")
			if err := os.WriteFile(path, []byte("4194304\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			reader, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			if err := lock(reader); err != nil {
				t.Fatal(err)
			}
			p, err := lockPIDFile(path)
			if err != nil {
				t.Fatal(err)
			}
			defer p.remove()
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
				t.Errorf("pid file: %v, %v; want mode 0644", info.Mode(), err)
			}
			if _, err := lockPIDFile(path); err == nil || !strings.Contains(err.Error(), "is held by process") {
				t.Errorf("a second master: %v", err)
			}
		})
	}
}

func TestOnlyARegularFileIsAPIDFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := lockPIDFile(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("lockPIDFile of a pipe = %v", err)
	}
}

func TestThePIDFileOfAnotherMasterIsNotRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	p, err := lockPIDFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	next, err := lockPIDFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p.remove()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file of the next master: %v", err)
	}
	next.remove()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the next master: %v", err)
	}
}
