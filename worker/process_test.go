package worker

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/needtool"
	"prefork/ipc"
	"prefork/worker/poll"
)

// busiest returns the ratio of the largest figure to the mean.
func busiest(workers []*process, figure func(*ipc.Slot) int) (ratio float64, figures []int) {
	sum := 0
	for _, w := range workers {
		n := figure(w.slot)
		figures = append(figures, n)
		sum += n
	}
	return float64(slices.Max(figures)) * float64(len(workers)) / float64(sum), figures
}

// turns waits until an idle worker's loop has ticked so many times.
func turns(t *testing.T, s *ipc.Slot, n int) {
	t.Helper()
	for range n {
		beat := s.Beat.Load()
		eventually(t, "a turn of the loop", func() bool { return s.Beat.Load() != beat })
	}
}

func TestShortConnectionsSpreadEvenly(t *testing.T) {
	workers, addr := crewOf(t, 4, "greet", Config{})
	for range 3000 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		expect(t, c, "!")
		_ = c.Close()
	}
	ratio, figures := busiest(workers, func(s *ipc.Slot) int { return int(s.Accepted.Load()) })
	t.Logf("busiest/mean %.3f of %v", ratio, figures)
	if ratio > 1.25 {
		t.Errorf("busiest/mean %.2f, want at most 1.25: %v", ratio, figures)
	}
}

func TestLongConnectionsSpreadEvenly(t *testing.T) {
	workers, addr := crewOf(t, 4, "greet", Config{})
	for range 400 {
		expect(t, dial(t, addr), "!")
	}
	ratio, figures := busiest(workers, func(s *ipc.Slot) int { return int(s.Active.Load()) })
	t.Logf("busiest/mean %.3f of %v", ratio, figures)
	if ratio > 1.10 {
		t.Errorf("busiest/mean %.2f, want at most 1.10: %v", ratio, figures)
	}
}

func TestNewWorkerCatchesUp(t *testing.T) {
	board, err := ipc.NewScoreboard(2)
	if err != nil {
		t.Fatal(err)
	}
	defer board.Close()
	fd, addr := listen(t, "127.0.0.1:0")
	defer unix.Close(fd)
	old := spawn(t, "greet", Config{}, board, 0, fd)
	old.accept()
	for range 60 {
		expect(t, dial(t, addr), "!")
	}
	fresh := spawn(t, "greet", Config{}, board, 1, fd)
	fresh.accept()
	for range 40 {
		expect(t, dial(t, addr), "!")
	}
	// 50 and 50 would be perfect. Without the gate the old worker gets half of
	// the 40 connections and has 80.
	if n := fresh.slot.Active.Load(); n < 35 {
		t.Errorf("the fresh worker has %d of the last 40", n)
	}
}

func TestStoppedWorkerGetsNoNewConnections(t *testing.T) {
	workers, addr := crewOf(t, 4, "greet", Config{})
	for range 40 {
		expect(t, dial(t, addr), "!")
	}
	var worst time.Duration
	connect := func(n int) {
		for range n {
			begin := time.Now()
			expect(t, dial(t, addr), "!")
			worst = max(worst, time.Since(begin))
		}
	}
	for i := range 12 {
		w := workers[i%4]
		w.stop()
		connect(5) // while its siblings still count on it
		w.signal(syscall.SIGCONT)
	}
	t.Logf("worst connection while workers were stopped and continued: %v", worst)
	w := workers[2]
	w.stop()
	eventually(t, "a stale heartbeat", func() bool { return ipc.Now()-w.slot.Beat.Load() > int64(gateStale) })
	held := w.slot.Accepted.Load()
	worst = 0
	begin := time.Now()
	connect(150)
	t.Logf("150 connections beside a stopped worker: %v each, %v the worst", time.Since(begin)/150, worst)
	if n := w.slot.Accepted.Load(); n != held {
		t.Errorf("the stopped worker accepted %d connections", n-held)
	}
	ratio, figures := busiest([]*process{workers[0], workers[1], workers[3]},
		func(s *ipc.Slot) int { return int(s.Active.Load()) })
	if ratio > 1.25 {
		t.Errorf("busiest/mean of the others %.2f: %v", ratio, figures)
	}
	w.signal(syscall.SIGCONT)
}

// TestATickFindsAConnectionWhoseWakeUpWasLost imitates a sibling that is woken
// for a connection and does not accept it.
func TestATickFindsAConnectionWhoseWakeUpWasLost(t *testing.T) {
	r := accepting(t, Config{PollInterval: time.Second}, Options{Handler: echo})
	p, err := poll.New(poll.Epoll)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Add(r.kept[0]); err != nil {
		t.Fatal(err)
	}
	woken := make(chan error, 1)
	go func() {
		var ready []int
		var err error
		for len(ready) == 0 && err == nil {
			ready, err = p.Wait(nil, patience)
		}
		woken <- err
	}()
	// After a tick the worker is behind the test in the kernel's wait queue.
	turns(t, r.slot, 3)
	c := r.dial(0)
	if err := within(t, "our wake-up", woken); err != nil {
		t.Fatal(err)
	}
	ask(t, c, "x", "x")
}

func TestOutOfDescriptorsPausesAcceptAndLogsOnce(t *testing.T) {
	workers, addr := crewOf(t, 1, "poor", Config{})
	w := workers[0]
	var conns []net.Conn
	for range 20 {
		conns = append(conns, dial(t, addr))
	}
	eventually(t, "the pause", func() bool { return w.logged("accept paused, out of descriptors") == 1 })
	served := int(w.slot.Active.Load())
	if served == 0 || served >= len(conns) {
		t.Fatalf("serves %d of %d", served, len(conns))
	}
	for i, c := range conns { // queued ones are served when the others close
		ask(t, c, "x", "x")
		_ = c.Close()
		_ = i
	}
	eventually(t, "the resumption", func() bool { return w.logged("accept resumed") == 1 })
	if n := w.logged("accept paused, out of descriptors"); n != 1 {
		t.Errorf("logged %d times that it paused, want once", n)
	}
	ask(t, dial(t, addr), "x", "x")
}

func TestTermDrainsTheWorkerAndOtherSignalsDoNot(t *testing.T) {
	workers, addr := crewOf(t, 1, "echo", Config{DrainIdle: 50 * time.Millisecond})
	w := workers[0]
	c := dial(t, addr)
	for _, s := range []syscall.Signal{
		syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTTIN, syscall.SIGTTOU,
	} {
		w.signal(s)
		ask(t, c, "x", "x")
	}
	w.signal(syscall.SIGTERM)
	eventually(t, "the report", func() bool { return w.logged("got SIGTERM, waiting for the master") == 1 })
	ask(t, c, "x", "x")
	ask(t, dial(t, addr), "x", "x") // it serves until the master has decided
	if err := w.channel.Send(&ipc.Drain{TimeoutMS: long}); err != nil {
		t.Fatal(err)
	}
	expectEOF(t, c)
	if s := w.exit(); !s.Exited() || s.ExitStatus() != 0 {
		t.Errorf("status %v, want exit 0", s)
	}
}

func TestTermReachesAWorkerOfOneConnection(t *testing.T) {
	for _, serving := range []bool{false, true} {
		workers, addr := crewOf(t, 1, "echo", Config{Mode: Forking, DrainIdle: 50 * time.Millisecond})
		w := workers[0]
		if serving {
			ask(t, dial(t, addr), "x", "x")
		}
		w.signal(syscall.SIGTERM)
		eventually(t, "the report", func() bool { return w.reported(ipc.StateLeaving) })
		if err := w.channel.Send(&ipc.Drain{TimeoutMS: long}); err != nil {
			t.Fatal(err)
		}
		if s := w.exit(); !s.Exited() || s.ExitStatus() != 0 {
			t.Errorf("serving %v: status %v, want exit 0", serving, s)
		}
	}
}

func TestAProgramThatUsedSignalsStillDoesNotEndByThem(t *testing.T) {
	workers, addr := crewOf(t, 1, "stops its signals", Config{})
	c := dial(t, addr)
	ask(t, c, "x", "x")
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE} {
		workers[0].signal(s)
		ask(t, c, "x", "x")
	}
}

// systemd may send TERM to the whole server repeatedly while it ends.
func TestTermDoesNotKillAWorkerThatEnds(t *testing.T) {
	workers, _ := crewOf(t, 8, "echo", Config{})
	for _, w := range workers {
		if err := w.channel.Send(&ipc.Drain{TimeoutMS: long}); err != nil {
			t.Fatal(err)
		}
		for ended := false; !ended; {
			select {
			case <-w.exited:
				ended = true
			default:
				_ = syscall.Kill(w.pid, syscall.SIGTERM) // may have exited
			}
		}
		if !w.status.Exited() || w.status.ExitStatus() != 0 {
			t.Errorf("ended with %v, status %d; want exit 0", w.status.Signal(), w.status.ExitStatus())
		}
	}
}

func TestWorkerExitsWhenItsMasterDies(t *testing.T) {
	workers, addr := crewOf(t, 1, "echo", Config{DrainIdle: 50 * time.Millisecond})
	c := dial(t, addr)
	ask(t, c, "x", "x")
	_ = workers[0].channel.Close()
	expectEOF(t, c)
	if s := workers[0].exit(); !s.Exited() || s.ExitStatus() != 0 {
		t.Errorf("status %v, want exit 0", s)
	}
}

func TestListenersStayNonBlocking(t *testing.T) {
	fd, _ := listen(t, "127.0.0.1:0")
	defer unix.Close(fd)
	board, err := ipc.NewScoreboard(2)
	if err != nil {
		t.Fatal(err)
	}
	defer board.Close()
	for i := range 2 {
		spawn(t, "echo", Config{}, board, i, fd).accept()
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags %#x, %v: a worker has made the shared listener blocking", flags, err)
	}
}

func TestCrashIsInTheCrashFile(t *testing.T) {
	for how, want := range map[string]string{
		"f": "(*Mutex).Unlock", // the runtime prints a fatal error's text to standard error only
		"p": "panic: out of reach",
	} {
		workers, addr := crewOf(t, 1, "crash", Config{})
		w := workers[0]
		if _, err := dial(t, addr).Write([]byte(how)); err != nil {
			t.Fatal(err)
		}
		if s := w.exit(); s.Exited() && s.ExitStatus() == 0 {
			t.Errorf("status %v", s)
		}
		if text := w.output(w.crash); !strings.Contains(text, want) {
			t.Errorf("the crash file has %q, want %q in it", text, want)
		}
	}
}

func TestDumpIsWrittenByAWorkerProcess(t *testing.T) {
	workers, _ := crewOf(t, 1, "echo", Config{})
	if err := workers[0].channel.Send(&ipc.Dump{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the dump", func() bool { return strings.Contains(workers[0].output(workers[0].crash), "goroutine ") })
}

func TestReopenMovesStandardError(t *testing.T) {
	workers, _ := crewOf(t, 1, "echo", Config{})
	fresh := memfile(t, "fresh")
	defer fresh.Close()
	if err := workers[0].channel.Send(&ipc.Reopen{}, int(fresh.Fd())); err != nil {
		t.Fatal(err)
	}
	if err := workers[0].channel.Send(&ipc.LogLevel{Level: "nonsense"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a line in the new log", func() bool {
		return strings.Contains(workers[0].output(fresh), "log level not changed")
	})
	if strings.Contains(workers[0].output(workers[0].stderr), "log level not changed") {
		t.Error("the old log has it, too")
	}
}

func TestProgramsStartedByAWorkerInheritNothing(t *testing.T) {
	needtool.Need(t, "sh", "dash")
	t.Setenv("GOMAXPROCS", "1")
	t.Setenv(ipc.ProcsVariable, "1") // says that the master has set it
	_, addr := crewOf(t, 1, "family", Config{})
	out, err := io.ReadAll(dial(t, addr))
	if err != nil {
		t.Fatal(err)
	}
	// ls sees 0, 1, 2 and the directory that it reads.
	lines := strings.Fields(string(bytes.TrimSpace(out)))
	if len(lines) != 4 || lines[0] != "4" || lines[1] != "unsetunsetunset" {
		t.Fatalf("a child sees %q, want 4 descriptors and no variables of the master", out)
	}
	// TTIN and TTOU stay ignored. PIPE, HUP and INT must not be ignored.
	for _, s := range []syscall.Signal{syscall.SIGPIPE, syscall.SIGHUP, syscall.SIGINT} {
		if mask := parseHex(t, lines[3]); mask&(1<<(s-1)) != 0 {
			t.Errorf("a child ignores %v", s)
		}
	}
}

func parseHex(t *testing.T, s string) (n uint64) {
	t.Helper()
	for _, c := range s {
		i := strings.IndexRune("0123456789abcdef", c)
		if i < 0 {
			t.Fatalf("%q is no mask", s)
		}
		n = n<<4 | uint64(i)
	}
	return n
}
