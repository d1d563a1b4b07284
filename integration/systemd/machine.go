package systemd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bootTime bounds a boot, which takes a second or two.
const bootTime = 2 * time.Minute

// Machine is a booted container. Its methods may be called from any goroutine.
type Machine struct {
	Version int // of systemd

	leader  int
	keeper  *exec.Cmd
	stdin   io.Closer // closing it ends the keeper and the container
	console *buffer
	dir     string
}

// Boot boots a container over the root file system lower.
func Boot(lower string) (*Machine, error) {
	dir, err := os.MkdirTemp("", "prefork-systemd-")
	if err != nil {
		return nil, err
	}
	m := &Machine{dir: dir, console: &buffer{}}
	if err := m.boot(lower); err != nil {
		err = errors.Join(fmt.Errorf("boot container: %w", err), m.Close())
		return nil, fmt.Errorf("%w\nconsole:\n%s", err, m.console)
	}
	return m, nil
}

func (m *Machine) boot(lower string) error {
	text, err := json.Marshal(order{Name: "prefork-test-" + strconv.Itoa(os.Getpid()) + "-" + filepath.Base(m.dir)[len("prefork-systemd-"):], Dir: m.dir, Lower: lower})
	if err != nil {
		return err
	}
	m.keeper = exec.Command("/proc/self/exe")
	m.keeper.Env = append(os.Environ(), keeperEnv+"="+string(text))
	m.keeper.Stderr = m.console
	m.keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Unshareflags: syscall.CLONE_NEWNS}
	stdin, err := m.keeper.StdinPipe()
	if err != nil {
		return err
	}
	out, err := m.keeper.StdoutPipe()
	if err != nil {
		return err
	}
	if err := m.keeper.Start(); err != nil {
		m.keeper = nil
		return fmt.Errorf("start keeper: %w", err)
	}
	m.stdin = stdin
	if err := m.awaitBoot(out); err != nil {
		return err
	}
	version, err := m.Run(context.Background(), "systemctl", "--version")
	if err != nil {
		return err
	}
	if _, err := fmt.Sscanf(version, "systemd %d", &m.Version); err != nil {
		return fmt.Errorf("read version of systemd from %q: %w", version, err)
	}
	return nil
}

// awaitBoot reads the keeper's reports until the container is up.
func (m *Machine) awaitBoot(out io.Reader) error {
	reports := make(chan report)
	go func() {
		defer close(reports)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var r report
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				r.Error = fmt.Sprintf("keeper said %q", lines.Text())
			}
			reports <- r
		}
	}()
	defer func() { // later reports go to the console
		go func() {
			for r := range reports {
				if r.Error != "" {
					_, _ = fmt.Fprintln(m.console, "keeper:", r.Error)
				}
			}
		}()
	}()
	deadline := time.NewTimer(bootTime)
	defer deadline.Stop()
	for {
		select {
		case r, ok := <-reports:
			switch {
			case !ok:
				return errors.New("the keeper has exited")
			case r.Error != "":
				return errors.New(r.Error)
			case r.Leader != 0:
				m.leader = r.Leader
			case r.Ready && m.leader != 0:
				return nil
			}
		case <-deadline.C:
			return fmt.Errorf("timeout after %v", bootTime)
		}
	}
}

// Close ends the container and waits until it is removed.
func (m *Machine) Close() error {
	var err error
	if m.keeper != nil {
		_ = m.stdin.Close()
		done := make(chan error, 1)
		go func() { done <- m.keeper.Wait() }()
		select {
		case err = <-done:
		case <-time.After(time.Minute):
			_ = m.keeper.Process.Kill() // which ends nspawn and the container too
			err = fmt.Errorf("the keeper did not end: %w", <-done)
		}
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, m.console)
		}
		m.keeper = nil
	}
	if removeErr := os.Remove(m.dir); !errors.Is(removeErr, os.ErrNotExist) {
		err = errors.Join(err, removeErr) // the keeper should have removed it
	}
	return err
}

// Console returns the output on the container's console.
func (m *Machine) Console() string { return m.console.String() }

// Path returns the path outside the container for a path inside.
func (m *Machine) Path(path string) string {
	return filepath.Join("/proc", strconv.Itoa(m.leader), "root", path)
}

// Run runs a command inside the container and returns its output. If the command
// fails, the error wraps an *exec.ExitError.
func (m *Machine) Run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(m.leader), "--all", "--"}, args...)...)
	// The command does not get the environment of the test.
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8",
		"SYSTEMD_PAGER=", "SYSTEMD_COLORS=0", "TERM=dumb"}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

// Inside runs f on a thread in the container's network and returns when f does.
// f must use addresses instead of host names, and must not start goroutines that
// open sockets.
func (m *Machine) Inside(f func()) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := m.Enter(); err != nil {
			result <- err
			return
		}
		f()
		result <- nil
	}()
	return <-result
}

// Enter moves the calling thread into the container's network.
func (m *Machine) Enter() error {
	ns, err := os.Open(m.namespace())
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network of the container: %w", err)
	}
	return nil
}

func (m *Machine) namespace() string { return fmt.Sprintf("/proc/%d/ns/net", m.leader) }

// Dial connects to an address inside the container. The path of a Unix socket is
// a path inside the container.
func (m *Machine) Dial(network, address string, timeout time.Duration) (net.Conn, error) {
	var conn net.Conn
	var err error
	if network == "unix" && !strings.HasPrefix(address, "@") {
		return net.DialTimeout(network, m.Path(address), timeout)
	}
	if inside := m.Inside(func() { conn, err = net.DialTimeout(network, address, timeout) }); inside != nil {
		return nil, inside
	}
	return conn, err
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
