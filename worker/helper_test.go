package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// envProgram is the variable with the program of a worker process.
const envProgram = "WORKER_TEST_PROGRAM"

// helper is the main function of a worker process.
func helper() int {
	o := Options{NewLogger: func(string, level string) (*zap.Logger, zap.AtomicLevel, error) {
		at := zap.NewAtomicLevelAt(zap.InfoLevel)
		enc := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
		return zap.New(zapcore.NewCore(enc, zapcore.Lock(os.Stderr), at)), at, nil
	}}
	switch program := os.Getenv(envProgram); program {
	case "echo":
		o.Handler = echo
	case "buffered echo":
		o.Handler = bufferedEcho
	case "greet": // and wait until the client has closed
		o.Handler = HandlerFunc(func(_ context.Context, c *Conn) error {
			if _, err := c.Write([]byte("!")); err != nil {
				return err
			}
			_, err := io.Copy(io.Discard, c)
			return err
		})
	case "poor":
		o.Handler = echo
		o.Configure = func(json.RawMessage, *Options) error {
			limit := unix.Rlimit{Cur: uint64(openFiles() + 8), Max: 1024}
			return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
		}
	case "crash": // in one of the ways that recover cannot stop
		o.Handler = HandlerFunc(func(_ context.Context, c *Conn) error {
			var b [1]byte
			if _, err := c.Read(b[:]); err != nil {
				return err
			}
			if b[0] == 'f' {
				new(sync.Mutex).Unlock()
			}
			go func() { panic("out of reach") }()
			<-c.Draining()
			return nil
		})
	case "stops its signals": // after it has used them, as signal.NotifyContext does
		o.Handler = HandlerFunc(func(ctx context.Context, c *Conn) error {
			signals := make(chan os.Signal, 1)
			signal.Notify(signals, discarded...)
			signal.Stop(signals)
			return echo(ctx, c)
		})
	case "family": // reports what a program that it starts inherits
		o.Handler = HandlerFunc(func(ctx context.Context, c *Conn) error {
			out, err := exec.CommandContext(ctx, "/bin/sh", "-c",
				`ls /proc/self/fd | wc -l; echo "${PREFORK_WORKER-unset}${GOMAXPROCS-unset}${PREFORK_GOMAXPROCS-unset}"; grep SigIgn /proc/self/status`).CombinedOutput()
			if err != nil {
				return err
			}
			_, err = c.Write(out)
			return err
		})
	case "forked":
		forkedOptions(&o)
	case "picky": // rejects three connections
		o.Handler = echo
		n := 0
		o.Hooks.VerifyRequest = func(*Conn) bool { n++; return n > 3 }
	case "forked web":
		o.Service = forkedWeb()
	case "own crash output":
		ownCrashOutput(&o)
	case "foreign goroutine":
		o.Handler = echo
		o.Hooks.WorkerStart = func(context.Context, WorkerInfo) error {
			go func() { select {} }()
			return nil
		}
	case "bad configuration":
		o.Configure = func(json.RawMessage, *Options) error { return errors.New("no colour like that") }
	case "slow":
		o.Handler = echo
		o.Configure = func(json.RawMessage, *Options) error { select {} }
	default:
		fmt.Fprintf(os.Stderr, "no program is called %q\n", program)
		return 2
	}
	return status(Run(context.Background(), o))
}

// status returns the exit status for the error of Run.
func status(err error) int {
	exit := new(ExitError)
	switch {
	case errors.As(err, &exit):
		return exit.Code
	case err != nil:
		return 3
	}
	return 0
}

// process is a worker in its own process.
type process struct {
	t       testing.TB
	pid     int
	channel *ipc.Channel
	slot    *ipc.Slot
	stderr  *os.File
	crash   *os.File

	ready  chan struct{}
	heard  chan struct{} // the channel's reader has ended
	exited chan struct{}
	once   sync.Once          // of end
	status syscall.WaitStatus // valid after exited

	forked bool // by a zygote

	mu       sync.Mutex
	messages []ipc.Message
}

// spawn starts a worker as the master does, with raw descriptors and its own
// process group.
func spawn(t testing.TB, program string, cfg Config, board *ipc.Scoreboard, slot int, listeners ...int) *process {
	t.Helper()
	return execute(t, "/proc/self/exe", []string{envProgram + "=" + program}, cfg, board, slot, listeners...)
}

// execute is spawn with the file to execute, and with variables of its environment.
func execute(t testing.TB, image string, env []string, cfg Config, board *ipc.Scoreboard, slot int, listeners ...int) *process {
	t.Helper()
	p, inherited := newProcess(t, board)
	p.stderr = memfile(t, "stderr")
	hello := &ipc.Hello{Protocol: ipc.ProtocolVersion, Slot: slot, Slots: board.Len(), Generation: 1, Config: mustJSON(t, cfg)}
	files := []uintptr{0, 1, p.stderr.Fd(), uintptr(inherited[0]), uintptr(board.FD()), uintptr(inherited[1]), p.crash.Fd()}
	for i, fd := range listeners {
		files = append(files, uintptr(fd))
		hello.Listeners = append(hello.Listeners, ipc.Listener{Name: fmt.Sprintf("l%d", i)})
	}
	pid, err := syscall.ForkExec(image, os.Args[:1], &syscall.ProcAttr{
		Files: files,
		Env:   append(append(os.Environ(), "PREFORK_WORKER=1"), env...),
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	closeDescriptors(inherited)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.channel.Send(hello); err != nil {
		t.Fatal(err)
	}
	p.watch(pid)
	return p
}

// newProcess makes what the master has of a worker, and the worker's channel and memory,
// which the caller closes.
func newProcess(t testing.TB, board *ipc.Scoreboard) (p *process, inherited []int) {
	t.Helper()
	mine, theirs, err := ipc.Pair()
	if err != nil {
		t.Fatal(err)
	}
	p = &process{t: t, ready: make(chan struct{}), heard: make(chan struct{}), exited: make(chan struct{})}
	var memory int
	if p.slot, memory, err = ipc.NewSlot(); err != nil {
		t.Fatal(err)
	}
	for i := range board.Len() { // the master's list, which may have more
		p.slot.Peers[i/64].Or(1 << (i % 64))
	}
	if p.channel, err = ipc.NewChannel(mine); err != nil {
		t.Fatal(err)
	}
	p.crash = memfile(t, "crash")
	return p, []int{theirs, memory}
}

// watch hears and reaps the process.
func (p *process) watch(pid int) {
	p.pid = pid
	go func() {
		defer close(p.heard)
		p.hear()
	}()
	go func() {
		defer close(p.exited)
		for {
			if _, err := syscall.Wait4(pid, &p.status, 0, nil); err != syscall.EINTR {
				return
			}
		}
	}()
	p.t.Cleanup(p.end)
}

// end kills the process if it still runs and releases its resources.
func (p *process) end() {
	p.once.Do(func() {
		select {
		case <-p.exited: // its pid may have been reused
		default:
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
		}
		within(p.t, "the process's end", p.exited)
		_ = p.channel.Close()
		<-p.heard
		if p.t.Failed() {
			p.t.Logf("standard error of worker %d:\n%s", p.pid, p.output(p.stderr))
		}
		if !p.forked { // else it is the zygote's
			_ = p.stderr.Close()
		}
		_, _ = p.crash.Close(), p.slot.Close()
	})
}

func memfile(t testing.TB, name string) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), name)
}

func (p *process) hear() {
	for {
		m, _, err := p.channel.Receive()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.messages = append(p.messages, m)
		p.mu.Unlock()
		if _, ready := m.(*ipc.Ready); ready {
			close(p.ready)
		}
	}
}

// sent returns whether the worker has sent a message for which is holds.
func sent[M ipc.Message](p *process, is func(m M) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.messages, func(m ipc.Message) bool {
		typed, ok := m.(M)
		return ok && is(typed)
	})
}

func (p *process) reported(state string) bool {
	return sent(p, func(r *ipc.Report) bool { return r.State == state })
}

// accept waits until the worker is ready and lets it accept.
func (p *process) accept() {
	p.t.Helper()
	within(p.t, "ready", p.ready)
	if err := p.channel.Send(&ipc.Resume{}); err != nil {
		p.t.Fatal(err)
	}
	eventually(p.t, "the worker to accept", func() bool {
		return ipc.WorkerState(p.slot.State.Load()) == ipc.Accepting
	})
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := syscall.Kill(p.pid, s); err != nil {
		p.t.Fatal(err)
	}
}

// stop sends SIGSTOP and waits until every thread has stopped. Until then the
// worker may still accept.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	eventually(p.t, "every thread to stop", func() bool {
		stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.pid))
		if err != nil || len(stats) == 0 {
			return false
		}
		for _, name := range stats {
			stat, err := os.ReadFile(name)
			_, state, found := strings.Cut(string(stat), ") ") // after the command's name
			if err != nil || !found || state[0] != 'T' {
				return false
			}
		}
		return true
	})
}

// exit waits for the end of the process.
func (p *process) exit() syscall.WaitStatus {
	p.t.Helper()
	within(p.t, "the process's end", p.exited)
	return p.status
}

// output returns the contents of one of the worker's files.
func (p *process) output(f *os.File) string {
	info, err := f.Stat()
	if err != nil {
		return err.Error()
	}
	b := make([]byte, info.Size())
	n, _ := f.ReadAt(b, 0)
	return string(b[:n])
}

func (p *process) logged(message string) int {
	return strings.Count(p.output(p.stderr), `"msg":"`+message+`"`)
}

// crewOf starts n accepting workers that share a listener.
func crewOf(t testing.TB, n int, program string, cfg Config) (workers []*process, addr string) {
	t.Helper()
	board, err := ipc.NewScoreboard(n)
	if err != nil {
		t.Fatal(err)
	}
	fd, addr := listen(t, "127.0.0.1:0")
	t.Cleanup(func() {
		_ = board.Close()
		_ = unix.Close(fd)
	})
	for i := range n {
		workers = append(workers, spawn(t, program, cfg, board, i, fd))
	}
	for _, w := range workers {
		w.accept()
	}
	return workers, addr
}
