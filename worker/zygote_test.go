package worker

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

func TestAZygoteForksWorkersThatServe(t *testing.T) {
	z := readyZygote(t, "forked", Config{})
	for i := range 20 {
		p, c := z.serving()
		ask(t, c, "slot\n", "-1\n") // prepared once, in the zygote
		ask(t, c, "pid\n", fmt.Sprintf("%d\n", z.pid))
		ask(t, c, "after\n", "1 of 1\n")
		if i%5 == 0 {
			ask(t, c, "collect\n", "collect\n")
		}
		_ = c.Close()
		if s := p.exit(); !s.Exited() || s.ExitStatus() != 0 {
			t.Fatalf("status %#x, want exit 0", s)
		}
		if !sent(p, func(d *ipc.Drained) bool { return d.Cut == 0 }) && p.slot.Handled.Load() != 1 {
			t.Errorf("handled %d", p.slot.Handled.Load())
		}
	}
}

// A spare is a worker as any other.
func TestAForkedSpareIsAChildOfTheMaster(t *testing.T) {
	z := readyZygote(t, "forked", Config{})
	p := z.fork(2)
	within(t, "ready", p.ready)
	stat := procStat(t, p.pid)
	if want := fmt.Sprint(os.Getpid()); stat[1] != want {
		t.Errorf("its parent is %s, want %s", stat[1], want)
	}
	if want := fmt.Sprint(z.pid); stat[2] != want {
		t.Errorf("its process group is %s, want the zygote's %s until the master changes it", stat[2], want)
	}
	comm := func(pid int) string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if comm(p.pid) != comm(z.pid) || comm(p.pid) == "exe\n" {
		t.Errorf("its name is %q, the zygote's %q", comm(p.pid), comm(z.pid))
	}
	if pid := p.slot.PID.Load(); int(pid) != p.pid {
		t.Errorf("its memory has pid %d, want %d", pid, p.pid)
	}
	if threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.pid)); err != nil || len(threads) != 1 {
		t.Errorf("a spare has the threads %v, %v", threads, err)
	}
}

// Exclusive wake-ups reach only threads that block in epoll_wait. Otherwise each connection
// would wake all spares.
func TestAForkedSpareWaitsForTheListenerItself(t *testing.T) {
	z := readyZygote(t, "forked", Config{})
	p := z.fork(0)
	p.accept()
	eventually(t, "the spare to wait in epoll_wait for the listener", func() bool {
		call, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", p.pid))
		if err != nil {
			t.Fatal(err)
		}
		var number, fd int
		if _, err := fmt.Sscanf(string(call), "%d 0x%x", &number, &fd); err != nil {
			return false // it runs
		}
		info, _ := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", p.pid, fd))
		return slices.Contains(strings.Fields(string(info)), fmt.Sprint(ipc.ListenerFD))
	})
}

// procStat returns state, ppid, pgrp ... of /proc/PID/stat.
func procStat(t *testing.T, pid int) []string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.Fields(rest)
}

func TestDescriptorsOfZygoteAndWorkersDoNotMix(t *testing.T) {
	z := readyZygote(t, "forked", Config{})
	before := descriptorsOfProcess(t, z.pid)
	first := z.fork(0)
	within(t, "ready", first.ready)
	p, c := z.serving()
	after := descriptorsOfProcess(t, z.pid)
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("the zygote has\n%v\nand had\n%v", after, before)
	}
	// Channel, scoreboard, memory and crash file, each its own but the scoreboard.
	for fd := 3; fd <= 6; fd++ {
		same := sameFile(t, p.pid, z.pid, fd)
		if same != (fd == ipc.ScoreboardFD) {
			t.Errorf("descriptor %d is the zygote's: %v", fd, same)
		}
		if fd != ipc.ScoreboardFD && sameFile(t, p.pid, first.pid, fd) {
			t.Errorf("descriptor %d is a sibling's", fd)
		}
	}
	uses := map[string]int{}
	for _, name := range after {
		uses[name]++
	}
	for fd, name := range descriptorsOfProcess(t, p.pid) {
		switch {
		case fd <= 6:
		case strings.HasPrefix(name, "anon_inode:") && after[fd] == name && sameFile(t, p.pid, z.pid, fd):
			t.Errorf("descriptor %d, %s, is the zygote's", fd, name)
		case strings.HasPrefix(name, "/proc/"), strings.HasPrefix(name, "pipe:") && uses[name] > 1: // of package livefork
			t.Errorf("a worker has descriptor %d: %s", fd, name)
		}
	}
	if _, err := c.Write([]byte("descriptors\n")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err != nil || strings.Contains(string(buf[:n]), "+") {
		t.Errorf("programs inherit descriptors with a +: %s, %v", buf[:n], err)
	}
}

func descriptorsOfProcess(t *testing.T, pid int) map[int]string {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	all := map[int]string{}
	for _, e := range entries {
		var fd int
		_, _ = fmt.Sscan(e.Name(), &fd)
		if name, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd)); err == nil {
			all[fd] = name
		}
	}
	return all
}

// sameFile says whether two processes have the same open file as fd. See kcmp(2).
func sameFile(t *testing.T, a, b, fd int) bool {
	t.Helper()
	const kcmpFile = 0
	r, _, errno := syscall.Syscall6(unix.SYS_KCMP, uintptr(a), uintptr(b), kcmpFile, uintptr(fd), uintptr(fd), 0)
	if errno != 0 {
		t.Skipf("kcmp: %v", errno)
	}
	return r == 0
}

func TestAZygoteNamesTheConditionThatDoesNotHold(t *testing.T) {
	for name, c := range map[string]struct {
		program string
		cfg     Config
		env     []string
		code    int
		want    string
	}{
		"goroutine":     {"foreign goroutine", Config{}, nil, ipc.ExitNotForkable, "package prefork/worker"},
		"poller":        {"echo", Config{Poller: "poll"}, nil, ipc.ExitNotForkable, "poller poll"},
		"processors":    {"echo", Config{}, []string{"GOMAXPROCS=2"}, ipc.ExitNotForkable, "GOMAXPROCS is 2"},
		"configuration": {"bad configuration", Config{}, nil, ExitConfig, "no colour"},
	} {
		t.Run(name, func(t *testing.T) {
			z := startZygote(t, c.program, c.cfg, c.env...)
			var failed *ipc.Failed
			eventually(t, "failed", func() bool {
				return sent(z.process, func(f *ipc.Failed) bool { failed = f; return true })
			})
			if failed.Code != c.code || !strings.Contains(failed.Message, c.want) {
				t.Errorf("failed with %d, %q; want %d and %q", failed.Code, failed.Message, c.code, c.want)
			}
			if s := z.exit(); !s.Exited() || s.ExitStatus() != c.code {
				t.Errorf("status %#x, want exit %d", s, c.code)
			}
		})
	}
}

func TestTheSelfTestSaysWhetherThisRuntimeCanBeForked(t *testing.T) {
	z := startZygote(t, "bad configuration", Config{}, ipc.ZygoteVariable+"="+ipc.ZygoteTest)
	within(t, "the self-test to succeed", z.ready) // without the program's Configure
	if s := z.exit(); !s.Exited() || s.ExitStatus() != 0 {
		t.Errorf("status %#x, want exit 0", s)
	}
}

func TestAZygoteEndsWithItsMasterAndOnStop(t *testing.T) {
	for _, program := range []string{"forked", "slow"} {
		for name, end := range map[string]func(z *zygote){
			"stop":        func(z *zygote) { _ = z.channel.Send(&ipc.Stop{}) },
			"master gone": func(z *zygote) { _ = z.channel.Close() },
		} {
			t.Run(program+" "+name, func(t *testing.T) {
				z := startZygote(t, program, Config{})
				if program == "forked" {
					within(t, "ready", z.ready)
				} else {
					eventually(t, "hello", func() bool { return sent(z.process, func(*ipc.Hello) bool { return true }) })
				}
				for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGUSR1} {
					z.signal(s) // is meant for the master
				}
				var p *process
				if program == "forked" {
					p = z.fork(0)
					within(t, "a worker to be ready", p.ready)
				}
				end(z)
				if s := z.exit(); !s.Exited() || s.ExitStatus() != 0 {
					t.Errorf("status %#x, want exit 0", s)
				}
				stops := strings.Count(z.output(z.stderr), fmt.Sprintf("worker stop in %d\n", z.pid))
				if want := map[string]int{"forked": 1}[program]; stops != want {
					t.Errorf("WorkerStop was called %d times, want %d", stops, want)
				}
				if p != nil { // serves on
					p.accept()
					c := dial(t, z.addr)
					ask(t, c, "x\n", "x\n")
					_ = c.Close()
					p.exit()
					if n := strings.Count(z.output(z.stderr), "worker stop in"); n != 1 {
						t.Errorf("WorkerStop was called %d times, want once", n)
					}
				}
			})
		}
	}
}

func TestAZygoteObeysOrders(t *testing.T) {
	z := readyZygote(t, "forked", Config{AccessLog: true})
	log, access := memfile(t, "log"), memfile(t, "access")
	defer log.Close()
	defer access.Close()
	for _, err := range []error{
		z.channel.Send(&ipc.Dump{}),
		z.channel.Send(&ipc.LogLevel{Order: 1, Level: "debug"}),
		z.channel.Send(&ipc.Reopen{Order: 2}, int(log.Fd())),
		z.channel.Send(&ipc.AccessLog{Order: 3}, int(access.Fd())),
		z.channel.Send(&ipc.Resume{}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the acknowledgements", func() bool {
		return sent(z.process, func(a *ipc.Ack) bool { return a.Order == 3 })
	})
	if dump := z.output(z.crash); !strings.Contains(dump, "(*worker).forkWorkers") {
		t.Errorf("dump %.200q", dump)
	}
	p := z.fork(1)
	p.accept()
	c := dial(t, z.addr)
	ask(t, c, "x\n", "x\n")
	_ = c.Close()
	p.exit()
	if record := p.output(access); !strings.Contains(record, fmt.Sprintf(`"pid":%d`, p.pid)) {
		t.Errorf("access log %q", record)
	}
	z.signal(syscall.SIGTERM)
	if err := z.channel.Send(&ipc.Stop{}); err != nil {
		t.Fatal(err)
	}
	z.exit()
	if text := z.output(log); !strings.Contains(text, "worker stop in") {
		t.Errorf("the reopened log has %q", text)
	}
}

// What the zygote cannot do costs one worker.
func TestAForkThatCannotBeMadeIsAnswered(t *testing.T) {
	z := readyZygote(t, "forked", Config{})
	p := z.fork(3) // AfterFork fails
	eventually(t, "failed", func() bool {
		return sent(p, func(f *ipc.Failed) bool { return strings.Contains(f.Message, "slot 3 is cursed") })
	})
	if s := p.exit(); !s.Exited() || s.ExitStatus() != 1 {
		t.Errorf("status %#x, want exit 1", s)
	}
	p = z.fork(99) // not on the scoreboard
	eventually(t, "failed", func() bool {
		return sent(p, func(f *ipc.Failed) bool { return strings.Contains(f.Message, "slot 99 of 4") })
	})
	p.exit()
	within(t, "ready", z.fork(0).ready)
}
