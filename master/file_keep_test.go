package master

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// told waits for n lines with the message.
func (r *running) told(n int, message string) {
	r.t.Helper()
	r.untilLoop(message, func(*Master) bool { return r.log.FilterMessage(message).Len() == n })
}

func TestALostControlSocketComesBack(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	path := r.master.options.Control
	r.serves(1)
	for n, lost := range []string{path, path, filepath.Dir(path)} {
		if err := os.RemoveAll(lost); err != nil {
			t.Fatal(err)
		}
		r.told(n+1, "control socket restored")
		if code, a := r.post("reload"); code != http.StatusOK {
			t.Errorf("reload = %d %+v", code, a)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("control socket: %v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestAnotherServersControlSocketIsLeftAloneAndToldOnce(t *testing.T) {
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
	r.told(1, "control socket not restored")
	other.Close() // its file stays, and nobody answers there
	r.told(1, "control socket restored")
	r.told(1, "control socket not restored")
}

func TestALostPIDFileComesBackLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0"), PIDFile: path})
	r.serves(1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.told(1, "pid file restored")
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
