package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// patience is the limit of every wait.
const patience = 10 * time.Second

// TestMain runs a worker if a test has started the process as one.
func TestMain(m *testing.M) {
	if Inherited() {
		os.Exit(helper())
	}
	if os.Getenv(envProgram) == "net" {
		os.Exit(plainNet())
	}
	before := openFiles()
	code := m.Run()
	removeForkable()
	if code == 0 {
		if err := settled(before); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// listen opens a listening socket as the master does: raw and non-blocking. An
// address with a slash is the path of a Unix socket.
func listen(t testing.TB, address string) (fd int, addr string) {
	t.Helper()
	network := "tcp"
	if strings.Contains(address, "/") {
		network = "unix"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	raw, err := l.(interface {
		SyscallConn() (syscall.RawConn, error)
	}).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var derr error
	if err := raw.Control(func(s uintptr) { fd, derr = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 10) }); err != nil || derr != nil {
		t.Fatal(err, derr)
	}
	return fd, l.Addr().String()
}

// rig is the master's end of a worker in this process.
type rig struct {
	t       testing.TB
	channel *ipc.Channel
	fd      int // of the channel
	board   *ipc.Scoreboard
	slot    *ipc.Slot
	crash   *os.File
	logs    *observer.ObservedLogs
	kept    []int    // the master's descriptors of the listeners
	addrs   []string // of the listeners, named l0, l1 …
	cancel  context.CancelFunc

	done chan struct{} // closed when the worker has returned
	err  error         // its error; valid after done

	mu       sync.Mutex
	messages []ipc.Message
}

// idleTick is short, so that the tests are fast.
const idleTick = 5 * time.Millisecond

// start starts a worker and waits for Ready. The worker does not accept yet.
func start(t testing.TB, cfg Config, o Options, addresses ...string) *rig {
	t.Helper()
	r := launch(t, cfg, o, addresses...)
	eventually(t, "ready", func() bool { return got[*ipc.Ready](r) != nil })
	return r
}

// accepting starts a worker that accepts.
func accepting(t testing.TB, cfg Config, o Options, addresses ...string) *rig {
	t.Helper()
	r := start(t, cfg, o, addresses...)
	r.send(&ipc.Resume{})
	eventually(t, "the worker to accept", func() bool {
		return ipc.WorkerState(r.slot.State.Load()) == ipc.Accepting
	})
	return r
}

func launch(t testing.TB, cfg Config, o Options, addresses ...string) *rig {
	t.Helper()
	if len(addresses) == 0 {
		addresses = []string{"127.0.0.1:0"}
	}
	if cfg.PollInterval == 0 {
		cfg.PollInterval = idleTick
	}
	r := &rig{t: t, done: make(chan struct{})}
	core, logs := observer.New(zapcore.DebugLevel)
	r.logs = logs
	if o.NewLogger == nil {
		o.NewLogger = func(string, string) (*zap.Logger, zap.AtomicLevel, error) {
			return zap.New(core), zap.NewAtomicLevel(), nil
		}
	}
	hello := &ipc.Hello{Protocol: ipc.ProtocolVersion, Slot: 1, Slots: 4, Generation: 3}
	in, listeners := r.open(hello, addresses)
	hello.Config = mustJSON(t, cfg)
	if err := r.channel.Send(hello); err != nil {
		t.Fatal(err)
	}
	in.listener = func(i int) int { return listeners[i] }
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		r.err = run(ctx, o, in)
	}()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		r.hear()
	}()
	t.Cleanup(func() {
		cancel()
		_ = r.channel.Send(&ipc.Stop{})
		within(t, "the worker's end", r.done)
		_ = r.channel.Close()
		<-heard
		for _, fd := range r.kept {
			_ = unix.Close(fd)
		}
		_ = r.crash.Close()
		eventually(t, "the last connection's end", func() bool { return r.slot.Active.Load() == 0 })
		_, _ = r.board.Close(), r.slot.Close()
	})
	return r
}

// open opens what a worker inherits.
func (r *rig) open(hello *ipc.Hello, addresses []string) (in inheritance, listeners []int) {
	t := r.t
	mine, theirs, err := ipc.Pair()
	if err != nil {
		t.Fatal(err)
	}
	r.fd = mine
	if r.channel, err = ipc.NewChannel(mine); err != nil {
		t.Fatal(err)
	}
	if r.board, err = ipc.NewScoreboard(hello.Slots); err != nil {
		t.Fatal(err)
	}
	var memory int
	if r.slot, memory, err = ipc.NewSlot(); err != nil {
		t.Fatal(err)
	}
	crash, err := unix.MemfdCreate("crash", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	r.crash = os.NewFile(uintptr(crash), "crash")
	for i, a := range addresses {
		fd, addr := listen(t, a)
		r.kept = append(r.kept, fd)
		r.addrs = append(r.addrs, addr)
		listeners = append(listeners, dup(t, fd))
		name := fmt.Sprintf("l%d", i)
		hello.Listeners = append(hello.Listeners, ipc.Listener{Name: name, Address: addr})
	}
	return inheritance{terminate: -1, channel: theirs, scoreboard: dup(t, r.board.FD()), slot: memory, crash: dup(t, crash)}, listeners
}

func dup(t testing.TB, fd int) int {
	t.Helper()
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 10)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func mustJSON(t testing.TB, v any) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// hear collects the messages of the worker.
func (r *rig) hear() {
	for {
		m, _, err := r.channel.Receive()
		if err != nil {
			if bad := new(ipc.ProtocolError); errors.As(err, &bad) {
				continue
			}
			return
		}
		r.mu.Lock()
		r.messages = append(r.messages, m)
		r.mu.Unlock()
	}
}

// got returns the worker's first message of a type, or nil.
func got[M ipc.Message](r *rig) (m M) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, any := range r.messages {
		if it, ok := any.(M); ok {
			return it
		}
	}
	return m
}

func (r *rig) send(m ipc.Message, fds ...int) {
	r.t.Helper()
	if err := r.channel.Send(m, fds...); err != nil {
		r.t.Fatal(err)
	}
}

// wait waits until the worker has returned.
func (r *rig) wait() error {
	r.t.Helper()
	within(r.t, "the worker's end", r.done)
	return r.err
}

// logged waits until the worker's log has a line with that message.
func (r *rig) logged(message string) observer.LoggedEntry {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("log line %q", message), func() bool {
		return r.logs.FilterMessage(message).Len() > 0
	})
	return r.logs.FilterMessage(message).All()[0]
}

func (r *rig) hasState(s ipc.WorkerState) {
	r.t.Helper()
	eventually(r.t, "state "+s.String(), func() bool {
		return ipc.WorkerState(r.slot.State.Load()) == s
	})
}

func (r *rig) hasActive(n int32) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("%d active connections", n), func() bool { return r.slot.Active.Load() == n })
}

// echo is the handler of most tests.
var echo = HandlerFunc(func(_ context.Context, c *Conn) error {
	_, err := io.Copy(c, c)
	return err
})
