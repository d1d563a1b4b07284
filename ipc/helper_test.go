package ipc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is the limit of every wait.
const patience = 20 * time.Second

// helperEnv makes the test binary run a helper.
const helperEnv = "PREFORK_IPC_HELPER"

// helpers are the processes that the test binary can run as.
var helpers = map[string]func() error{
	"worker":   helperWorker,
	"writer":   helperWriter,
	"few-fds":  helperFewDescriptors,
	"truncate": helperTruncate,
}

func TestMain(m *testing.M) {
	name := os.Getenv(helperEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	run, ok := helpers[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "no helper %q\n", name)
		os.Exit(2)
	}
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "helper %s: %v\n", name, err)
		os.Exit(1)
	}
}

// helper is a running helper process.
type helper struct {
	t   *testing.T
	cmd *exec.Cmd
	out *bufio.Reader
	err *strings.Builder
}

// startHelper runs the test binary as a helper. The helper inherits the files
// from descriptor 3 on. The caller still owns them.
func startHelper(t *testing.T, name string, files ...*os.File) *helper {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	h := &helper{t: t, err: new(strings.Builder)}
	h.cmd = exec.CommandContext(ctx, os.Args[0])
	// The race detector would delay the exit of each helper by a second.
	h.cmd.Env = append(os.Environ(), helperEnv+"="+name, "GORACE=atexit_sleep_ms=0")
	h.cmd.ExtraFiles = files
	h.cmd.Stderr = h.err
	stdout, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.out = bufio.NewReader(stdout)
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return h
}

// line waits for the helper's next line.
func (h *helper) line() string {
	h.t.Helper()
	s, err := h.out.ReadString('\n')
	if err != nil {
		h.t.Fatalf("waited for a line of the helper: %v, stderr %q", err, h.err)
	}
	return strings.TrimSuffix(s, "\n")
}

// wait waits for the helper's exit, which must be a success.
func (h *helper) wait() {
	h.t.Helper()
	if err := h.cmd.Wait(); err != nil {
		h.t.Fatalf("helper: %v, stderr %q", err, h.err)
	}
}

// kill ends the helper with SIGKILL and reaps it.
func (h *helper) kill() {
	h.t.Helper()
	if err := h.cmd.Process.Kill(); err != nil {
		h.t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := h.cmd.Wait(); !errors.As(err, &exit) {
		h.t.Fatalf("helper ended with %v, want a signal", err)
	}
}

// pair returns both ends of a channel. They are closed when the test ends.
func pair(t testing.TB) (a, b *Channel) {
	t.Helper()
	m, w, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	return open(t, m), open(t, w)
}

func open(t testing.TB, fd int) *Channel {
	t.Helper()
	c, err := NewChannel(fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return c
}

type received struct {
	m   Message
	fds []int
	err error
}

// receive is Receive with the limit patience.
func receive(t testing.TB, c *Channel) received {
	t.Helper()
	got := make(chan received, 1)
	go func() {
		var r received
		r.m, r.fds, r.err = c.Receive()
		got <- r
	}()
	select {
	case r := <-got:
		return r
	case <-time.After(patience):
		t.Fatal("waited for a message in vain")
		return received{}
	}
}

// expect receives a message of the type T, without descriptors.
func expect[T Message](t testing.TB, c *Channel) T {
	t.Helper()
	r := receive(t, c)
	m, ok := r.m.(T)
	if r.err != nil || !ok || len(r.fds) != 0 {
		t.Fatalf("received %#v with descriptors %v and error %v, want a %T", r.m, r.fds, r.err, *new(T))
	}
	return m
}

func expectEOF(t testing.TB, c *Channel) {
	t.Helper()
	if r := receive(t, c); !errors.Is(r.err, io.EOF) {
		t.Fatalf("received %#v and error %v, want io.EOF", r.m, r.err)
	}
}

// descriptors lists this process's open descriptors with their targets, without
// the one of the listing itself.
func descriptors(t testing.TB) []string {
	t.Helper()
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		list = append(list, e.Name()+" "+target)
	}
	sort.Strings(list)
	return list
}

// noLeak runs f and fails the test if f leaves descriptors open.
func noLeak(t *testing.T, f func()) {
	t.Helper()
	pair(t) // the runtime opens its poller's descriptors on first use
	before := descriptors(t)
	f()
	if after := descriptors(t); len(after) != len(before) {
		t.Errorf("descriptors before:\n  %s\nafter:\n  %s", strings.Join(before, "\n  "), strings.Join(after, "\n  "))
	}
}

// scratch returns an open file that is closed when the test ends.
func scratch(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "scratch"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// sendRaw sends any datagram.
func sendRaw(t *testing.T, c *Channel, data []byte, fds ...int) {
	t.Helper()
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	if err := c.sendmsg(data, oob); err != nil {
		t.Fatal(err)
	}
}

func closeOnExec(t *testing.T, fd int) bool {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags&unix.FD_CLOEXEC != 0
}
