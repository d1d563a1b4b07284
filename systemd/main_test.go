package systemd_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/systemd"
)

// helperVariable makes the test binary run as an activated service, which prints
// a helperReport and exits.
const helperVariable = "SYSTEMD_TEST_HELPER"

// helperReport is what an activated process has found.
type helperReport struct {
	Files   []systemd.File
	Sockets []systemd.Socket
	Error   string
	Left    []string // LISTEN_ variables after Files(true)
	Inherit []int    // the files that are not close-on-exec
}

func TestMain(m *testing.M) {
	if os.Getenv(helperVariable) != "" {
		if err := json.NewEncoder(os.Stdout).Encode(activated()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func activated() helperReport {
	var r helperReport
	files, err := systemd.Files(true)
	if err != nil {
		r.Error = err.Error()
	}
	r.Files = files
	for _, f := range files {
		s, err := systemd.Inspect(f.FD)
		if err != nil {
			r.Error += err.Error()
		}
		r.Sockets = append(r.Sockets, s)
		flags, err := unix.FcntlInt(uintptr(f.FD), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			r.Inherit = append(r.Inherit, f.FD)
		}
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if _, ok := os.LookupEnv(name); ok {
			r.Left = append(r.Left, name)
		}
	}
	return r
}

// checkDescriptors fails the test if its open descriptors differ between its
// start and its end. Call it before any function that registers a Cleanup.
func checkDescriptors(t *testing.T) {
	t.Helper()
	// The netpoller opens its descriptors at its first use and keeps them.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	_ = w.Close()
	before := descriptors(t)
	t.Cleanup(func() {
		after := descriptors(t)
		for fd, target := range after {
			if _, ok := before[fd]; !ok {
				t.Errorf("descriptor %s (%s) is left open", fd, target)
			}
		}
		for fd, target := range before {
			if _, ok := after[fd]; !ok {
				t.Errorf("descriptor %s (%s) was closed", fd, target)
			}
		}
	})
}

func descriptors(t *testing.T) map[string]string {
	t.Helper()
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]string{}
	for _, e := range entries {
		target, err := os.Readlink(dir + "/" + e.Name())
		if err == nil { // the directory's own descriptor is closed
			open[e.Name()] = target
		}
	}
	return open
}
