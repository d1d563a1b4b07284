package worker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// forkable is this test binary without cgo and the race detector, because a process with
// them cannot be forked. removeForkable deletes it.
var forkable struct {
	once sync.Once
	dir  string
	err  error
}

func forkableImage(t testing.TB) string {
	t.Helper()
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skipf("no process is forked on %s", runtime.GOARCH)
	}
	forkable.once.Do(func() {
		if forkable.dir, forkable.err = os.MkdirTemp("", "prefork-worker-"); forkable.err != nil {
			return
		}
		cmd := exec.Command("go", "test", "-c", "-o", filepath.Join(forkable.dir, "program"), ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			forkable.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if forkable.err != nil {
		t.Fatalf("build the program that is forked: %v", forkable.err)
	}
	return filepath.Join(forkable.dir, "program")
}

func removeForkable() { _ = os.RemoveAll(forkable.dir) }

// zygote is a zygote, and what its workers share.
type zygote struct {
	*process
	board  *ipc.Scoreboard
	addr   string
	lastID uint64
}

// startZygote starts a zygote and does not wait until it is ready.
func startZygote(t testing.TB, program string, cfg Config, env ...string) *zygote {
	t.Helper()
	image := forkableImage(t)
	cfg.Mode = Forking
	board, err := ipc.NewScoreboard(4)
	if err != nil {
		t.Fatal(err)
	}
	fd, addr := listen(t, "127.0.0.1:0")
	t.Cleanup(func() { _, _ = board.Close(), unix.Close(fd) })
	env = append(env, // of two the first counts
		envProgram+"="+program, ipc.ZygoteVariable+"="+ipc.ZygoteOn, "GOMAXPROCS=1", ipc.ProcsVariable+"=1")
	return &zygote{process: execute(t, image, env, cfg, board, 0, fd), board: board, addr: addr}
}

// readyZygote starts a zygote and waits until it is ready.
func readyZygote(t testing.TB, program string, cfg Config, env ...string) *zygote {
	t.Helper()
	z := startZygote(t, program, cfg, env...)
	within(t, "the zygote to be ready", z.ready)
	return z
}

// fork makes a worker.
func (z *zygote) fork(slot int) *process {
	z.t.Helper()
	p, inherited := newProcess(z.t, z.board)
	defer closeDescriptors(inherited)
	p.stderr, p.forked = z.stderr, true
	var answer *ipc.Forked
	for range 20 { // the machine may be so busy that no copy is sound
		z.lastID++
		order := &ipc.Fork{ID: z.lastID, Slot: slot, LogLevel: "info"}
		if err := z.channel.Send(order, append(inherited, int(p.crash.Fd()))...); err != nil {
			z.t.Fatal(err)
		}
		eventually(z.t, "the answer to a fork", func() bool {
			return sent(z.process, func(f *ipc.Forked) bool {
				answer = f
				return f.ID == z.lastID
			})
		})
		for _, pid := range answer.Stillborn {
			_, _ = syscall.Wait4(pid, nil, 0, nil)
		}
		if answer.PID != 0 {
			p.watch(answer.PID)
			return p
		}
		z.t.Logf("not forked: %s", answer.Error)
	}
	z.t.Fatal("not forked")
	return nil
}

// serving forks a worker that accepts, and connects to it.
func (z *zygote) serving() (*process, net.Conn) {
	z.t.Helper()
	p := z.fork(1)
	p.accept()
	c := dial(z.t, z.addr)
	eventually(z.t, "busy", func() bool { return p.reported(ipc.StateBusy) })
	return p, c
}

// forkedOptions is the program of most tests of forked workers. A client sends lines.
func forkedOptions(o *Options) {
	prepared := map[string]string{}
	o.Hooks.WorkerStart = func(_ context.Context, w WorkerInfo) error {
		prepared["slot"] = fmt.Sprint(w.Slot)
		prepared["pid"] = fmt.Sprint(os.Getpid())
		return nil
	}
	o.Hooks.WorkerStop = func(context.Context) { fmt.Fprintf(os.Stderr, "worker stop in %d\n", os.Getpid()) }
	o.Hooks.AfterFork = func(w WorkerInfo) error {
		prepared["after"] = fmt.Sprintf("%d of %d", w.Slot, w.Generation)
		if w.Slot == 3 {
			return errors.New("slot 3 is cursed")
		}
		return nil
	}
	o.Handler = HandlerFunc(func(ctx context.Context, c *Conn) error {
		lines := bufio.NewReader(c)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return err
			}
			answer, err := forkedAnswer(ctx, c, strings.TrimSpace(line), prepared)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(c, "%s\n", answer); err != nil {
				return err
			}
		}
	})
}

func forkedAnswer(ctx context.Context, c *Conn, line string, prepared map[string]string) (answer string, err error) {
	switch line {
	case "panic":
		panic("out of luck")
	case "goroutine panics":
		go func() { panic("out of reach") }()
		<-c.Draining()
	case "exit":
		os.Exit(7)
	case "goexit":
		runtime.Goexit()
	case "fatal":
		new(sync.Mutex).Unlock()
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "spin": // as a handler that hangs: nobody preempts it
		for { //nolint:staticcheck // SA5002: it is to spin
		}
	case "never": // reads nothing and writes for ever
		for err == nil {
			_, err = c.Write(make([]byte, 1<<20))
		}
		return "", err
	case "until the deadline":
		<-ctx.Done()
		return ctx.Err().Error(), nil
	case "silence":
		_, err = c.Read(make([]byte, 1))
		return fmt.Sprint(err), nil
	case "collect":
		for range 20 {
			_ = bytes.Repeat([]byte("x"), 1<<20)
			runtime.GC()
		}
	case "descriptors":
		return strings.Join(openDescriptors(), " "), nil
	case "program": // writes more than a pipe holds
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", "head -c 300000 /dev/zero; ls /proc/self/fd | wc -l >&2")
		var out, words bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &words
		if err = cmd.Start(); err == nil {
			err = errors.Join(Await(cmd.Process), cmd.Wait(), Await(cmd.Process))
		}
		return fmt.Sprintf("%d bytes, %s descriptors", out.Len(), strings.TrimSpace(words.String())), err
	case "random":
		return fmt.Sprint(rand.Uint64()), nil
	case "seed":
		return fmt.Sprintf("%x", RandomSeed()), nil
	default:
		if value, ok := prepared[line]; ok {
			return value, nil
		}
	}
	return line, nil
}

// openDescriptors lists the descriptors from 3 on: what they are, and + if programs that
// this process starts inherit them.
func openDescriptors() (list []string) {
	for fd := 3; fd < 100; fd++ {
		name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil {
			continue
		}
		if flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
			name += "+"
		}
		list = append(list, fmt.Sprintf("%d:%s", fd, strings.ReplaceAll(name, " ", "_")))
	}
	return list
}

// web is in service_test.go.
func forkedWeb() *web {
	return newWeb(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, fmt.Sprint(os.Getpid()))
	}))
}

// ownCrashOutput is a program that has set a crash output, and opened a file that got the
// number of the one before. It sends the file's text.
func ownCrashOutput(o *Options) {
	var opened []*os.File
	o.Hooks.WorkerStart = func(context.Context, WorkerInfo) error {
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err == nil {
			err = debug.SetCrashOutput(null, debug.CrashOptions{})
		}
		for i := 0; i < 3 && err == nil; i++ {
			var fd int
			if fd, err = unix.MemfdCreate("table", unix.MFD_CLOEXEC); err == nil {
				opened = append(opened, os.NewFile(uintptr(fd), "table"))
				_, err = opened[i].WriteString("table")
			}
		}
		return err
	}
	o.Handler = HandlerFunc(func(_ context.Context, c *Conn) error {
		for _, f := range opened {
			if _, err := io.Copy(c, io.NewSectionReader(f, 0, 100)); err != nil {
				return err
			}
		}
		_, err := io.WriteString(c, "\n")
		return err
	})
}
