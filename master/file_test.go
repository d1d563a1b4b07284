package master

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// writeOwn opens path as a log and writes text.
func writeOwn(t *testing.T, path, text string) error {
	t.Helper()
	fd, err := openLog(path)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(text))
	return err
}

func TestLinksOfTheServersOwnUserAreFollowed(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "real", "log")
	err := errors.Join(os.Mkdir(filepath.Dir(target), 0o700),
		os.Symlink("real", filepath.Join(dir, "d")),
		os.Symlink("../real/log", filepath.Join(dir, "d", "relative")), // relative to the link
		os.Symlink(filepath.Join(dir, "d", "relative"), filepath.Join(dir, "absolute")),
		os.Symlink("loop", filepath.Join(dir, "loop")))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"real/log", "d/relative", "absolute"} {
		if err := writeOwn(t, filepath.Join(dir, name), name+"\n"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if text, err := os.ReadFile(target); err != nil || string(text) != "real/log\nd/relative\nabsolute\n" {
		t.Errorf("the log has %q, %v", text, err)
	}
	if err := writeOwn(t, filepath.Join(dir, "loop"), ""); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a link to itself: %v, want %v", err, unix.ELOOP)
	}
}

// A container's log_file is often /dev/stderr, a link to a link in /proc.
func TestLinksInProcAreFollowed(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	link := filepath.Join(t.TempDir(), "stdout")
	if err := os.Symlink("/proc/self/fd/"+strconv.Itoa(int(file.Fd())), link); err != nil {
		t.Fatal(err)
	}
	if err := writeOwn(t, link, "x"); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(file.Name()); string(text) != "x" {
		t.Errorf("the file has %q, %v", text, err)
	}
}

func TestALinkOfAnotherUserIsNotFollowed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make a link for another user")
	}
	dir := t.TempDir()
	link, victim := filepath.Join(dir, "link"), filepath.Join(dir, "victim")
	if err := errors.Join(os.Symlink(victim, link), os.Lchown(link, 61234, 61234)); err != nil {
		t.Fatal(err)
	}
	if err := writeOwn(t, link, "x"); err == nil || !strings.Contains(err.Error(), link+" is a symbolic link of user 61234") {
		t.Errorf("log: %v, want a refusal", err)
	}
	if _, err := os.Stat(victim); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the target of the link: %v, want no file", err)
	}
}

// logged waits for n log lines with the message.
func (r *running) logged(n int, message string) {
	r.t.Helper()
	r.untilLoop(message, func(*Master) bool { return r.log.FilterMessage(message).Len() == n })
}

func TestALostControlSocketIsRestored(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	path := r.master.options.Control
	r.serves(1)
	for n, lost := range []string{path, path, filepath.Dir(path)} {
		if err := os.RemoveAll(lost); err != nil {
			t.Fatal(err)
		}
		r.logged(n+1, "control socket restored")
		if code, a := r.post("reload"); code != http.StatusOK {
			t.Errorf("reload = %d %+v", code, a)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("control socket: %v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestAnotherServersControlSocketIsLeftAloneAndLoggedOnce(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	path := r.master.options.Control
	r.serves(1)
	other, err := net.Listen("unix", path+".new")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	r.logged(1, "control socket not restored")
	other.Close() // its file stays
	r.logged(1, "control socket restored")
	r.logged(1, "control socket not restored")
}

func TestALostPIDFileIsRestoredAndLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0"), PIDFile: path})
	r.serves(1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.logged(1, "pid file restored")
	if text, err := os.ReadFile(path); string(text) != fmt.Sprintln(os.Getpid()) {
		t.Errorf("pid file has %q, %v", text, err)
	}
	if p, err := lockPIDFile(path); err == nil {
		p.remove()
		t.Error("the restored pid file is not locked")
	}
	r.stop()
	if err := r.wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stat at the end = %v", err)
	}
}
