package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/integration"
	"prefork/internal/needtool"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(keeperEnv); text != "" {
		os.Exit(keep(text))
	}
	code := m.Run()
	for what, err := range map[string]error{
		"close container": machines.close(), "remove programs": integration.RemovePrograms(),
	} {
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// machines are booted at most once per test run, one for each root file system.
var machines pool

type pool struct {
	mu     sync.Mutex // guards booted
	booted map[string]*booted
}

type booted struct {
	once    sync.Once
	machine *Machine
	err     error
}

// get returns the machine over the root file system lower, with the daemon
// installed.
func (p *pool) get(lower string) (*Machine, error) {
	p.mu.Lock()
	if p.booted == nil {
		p.booted = map[string]*booted{}
	}
	b := p.booted[lower]
	if b == nil {
		b = &booted{}
		p.booted[lower] = b
	}
	p.mu.Unlock()
	b.once.Do(func() {
		if b.machine, b.err = Boot(lower); b.err == nil {
			_, b.err = install(b.machine, "install")
		}
	})
	return b.machine, b.err
}

func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var problems []error
	for _, b := range p.booted {
		if b.machine != nil {
			problems = append(problems, b.machine.Close())
		}
	}
	p.booted = nil
	return errors.Join(problems...)
}

// root is the directory of the module.
var root = filepath.Join("..", "..")

// install runs a target of make for the machine's file system.
func install(m *Machine, target string, more ...string) (string, error) {
	args := append([]string{"-C", root, target, "DESTDIR=" + m.Path("/")}, more...)
	out, err := exec.Command("make", args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("make %s: %w\n%s", target, err, out)
	}
	return string(out), nil
}

// here returns the machine over this machine's root file system, or skips the
// test.
func here(t *testing.T) *Machine {
	t.Helper()
	need(t)
	m, err := machines.get("/")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// need skips the test if this machine cannot boot a container.
func need(t *testing.T) {
	t.Helper()
	if os.Getenv("PREFORK_SYSTEMD_TEST") != "1" {
		t.Skip("takes minutes: make systemd-test (PREFORK_SYSTEMD_TEST=1) runs it")
	}
	needtool.Root(t, "boots a container")
	needtool.Need(t, "systemd-nspawn", "systemd-container")
	needtool.Need(t, "nsenter", "util-linux")
	needtool.Need(t, "make", "make")
	if err := canMount(); err != nil {
		needtool.Skip(t, "this machine cannot mount an overlay: %v", err)
	}
}

// canMount tries once, in a new mount namespace, to mount an overlay over / with
// its upper layer in memory.
var canMount = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "prefork-systemd-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	const script = `mount -t tmpfs t "$1" && mkdir "$1/u" "$1/w" "$1/r" && mount -t overlay o -o "lowerdir=/,upperdir=$1/u,workdir=$1/w" "$1/r"`
	cmd := exec.CommandContext(context.Background(), "sh", "-c", script, "sh", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
})
