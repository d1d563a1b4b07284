package worker

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/worker/poll"
)

func TestSequentialWorkerLeavesTheRestQueued(t *testing.T) {
	r := accepting(t, Config{Mode: Sequential}, Options{Handler: echo})
	first := r.dial(0)
	ask(t, first, "a", "a")
	second := r.dial(0)
	eventually(t, "the second to queue", func() bool { return r.queued(0) == 1 })
	ask(t, first, "b", "b")
	if n := r.slot.Accepted.Load(); n != 1 {
		t.Fatalf("accepted %d, want 1", n)
	}
	_ = first.Close()
	ask(t, second, "c", "c")
}

func TestBusySequentialWorkerBeats(t *testing.T) {
	r := accepting(t, Config{Mode: Sequential}, Options{Handler: echo})
	ask(t, r.dial(0), "a", "a")
	for range 3 {
		beat := r.slot.Beat.Load()
		eventually(t, "a heartbeat", func() bool { return r.slot.Beat.Load() > beat })
	}
}

func TestThreadingWorkerServesAtOnce(t *testing.T) {
	r := accepting(t, Config{}, Options{Handler: echo})
	var all []net.Conn
	for range 20 {
		c := r.dial(0)
		ask(t, c, "a", "a")
		all = append(all, c)
	}
	r.hasActive(20)
	for _, c := range all {
		ask(t, c, "b", "b")
		_ = c.Close()
	}
	r.hasActive(0)
	eventually(t, "the counts", func() bool {
		return r.slot.BytesIn.Load() == 40 && r.slot.BytesOut.Load() == 40 && r.slot.Handled.Load() == 20
	})
	sum := uint64(0)
	for i := range r.slot.Age.Counts {
		sum += r.slot.Age.Counts[i].Load()
	}
	if sum != 20 {
		t.Errorf("latency counted for %d connections, want 20", sum)
	}
}

func TestBytesOfALongConnectionAreCountedMeanwhile(t *testing.T) {
	r := accepting(t, Config{}, Options{Handler: echo})
	ask(t, r.dial(0), "abc", "abc")
	eventually(t, "three bytes", func() bool { return r.slot.BytesIn.Load() == 3 && r.slot.BytesOut.Load() == 3 })
}

func TestMaxConnectionsLeavesTheRestQueued(t *testing.T) {
	r := accepting(t, Config{MaxConnections: 2}, Options{Handler: echo})
	a, b := r.dial(0), r.dial(0)
	ask(t, a, "a", "a")
	ask(t, b, "b", "b")
	c := r.dial(0)
	eventually(t, "the third to queue", func() bool { return r.queued(0) == 1 })
	for range 2 { // the loop, which would have taken it
		last := r.slot.Beat.Load()
		eventually(t, "another turn of the loop", func() bool { return r.slot.Beat.Load() != last })
	}
	if n := r.slot.Active.Load(); n != 2 || r.queued(0) != 1 {
		t.Fatalf("%d active and %d queued, want 2 and 1", n, r.queued(0))
	}
	r.hasState(ipc.Paused) // so that the master can tell that the pool is full
	_ = a.Close()
	ask(t, c, "c", "c")
	_ = c.Close()
	r.hasState(ipc.Accepting)
}

// TestFreedPlaceIsTakenAtOnce gives 200 connections less time than they would
// need if each waited for the loop's next tick.
func TestFreedPlaceIsTakenAtOnce(t *testing.T) {
	r := start(t, Config{Mode: Sequential, PollInterval: time.Second}, Options{Handler: HandlerFunc(func(_ context.Context, c *Conn) error {
		_, err := c.Write([]byte("!"))
		return err
	})})
	var all []net.Conn
	for range 200 {
		all = append(all, r.dial(0))
	}
	r.send(&ipc.Resume{})
	for _, c := range all { // their deadlines are patience from now
		expect(t, c, "!")
		_ = c.Close()
	}
}

func TestForkingWorkerTakesExactlyOne(t *testing.T) {
	r := accepting(t, Config{Mode: Forking}, Options{Handler: HandlerFunc(func(ctx context.Context, c *Conn) error {
		return echo(ctx, c)
	})})
	first := r.dial(0)
	eventually(t, "busy", func() bool {
		report := got[*ipc.Report](r)
		return report != nil && report.State == ipc.StateBusy
	})
	second := r.dial(0)
	ask(t, first, "a", "a")
	eventually(t, "the second to queue", func() bool { return r.queued(0) == 1 })
	_ = first.Close()
	if err := r.wait(); err != nil {
		t.Fatalf("Run returned %v, want nil", err)
	}
	if n := r.slot.Accepted.Load(); n != 1 {
		t.Errorf("accepted %d, want 1", n)
	}
	_ = second
}

func TestBusyForkingWorkerDrains(t *testing.T) {
	r := accepting(t, Config{Mode: Forking, DrainIdle: 20 * time.Millisecond}, Options{Handler: echo})
	c := r.dial(0)
	ask(t, c, "a", "a")
	r.send(&ipc.Drain{TimeoutMS: long})
	expectEOF(t, c)
	r.drained()
}

func TestForkingWorkerSurvivesARejectedConnection(t *testing.T) {
	rejected := false
	r := accepting(t, Config{Mode: Forking}, Options{Handler: echo, Hooks: Hooks{VerifyRequest: func(*Conn) bool {
		ok := rejected
		rejected = true
		return ok
	}}})
	expectEOF(t, r.dial(0))
	ask(t, r.dial(0), "a", "a")
}

func TestEveryPollerServes(t *testing.T) {
	for _, name := range poll.Names() {
		for _, mode := range []Mode{Threading, Sequential} {
			t.Run(name+" "+string(mode), func(t *testing.T) {
				r := accepting(t, Config{Poller: name, Mode: mode}, Options{Handler: echo}, "127.0.0.1:0", t.TempDir()+"/s")
				for i := range 20 {
					c := r.dial(i % 2)
					ask(t, c, "x", "x")
					_ = c.Close()
				}
				r.send(&ipc.Drain{TimeoutMS: long})
				r.drained()
			})
		}
	}
}

func TestListenersTakeTurns(t *testing.T) {
	order := make(chan string, 100)
	r := start(t, Config{Mode: Sequential}, Options{Handler: HandlerFunc(func(_ context.Context, c *Conn) error {
		order <- c.Listener()
		return nil
	})}, "127.0.0.1:0", "127.0.0.1:0")
	for i := range 10 {
		r.dial(i % 2)
	}
	eventually(t, "all to queue", func() bool { return r.queued(0) == 5 && r.queued(1) == 5 })
	r.send(&ipc.Resume{})
	counts := map[string]int{}
	for range 6 {
		counts[within(t, "a connection", order)]++
	}
	if counts["l0"] < 2 || counts["l1"] < 2 {
		t.Errorf("of the first six %v", counts)
	}
}

// A listener that somebody has shut down comes back when the master repairs it;
// until then the others serve.
func TestListenerThatIsShutDownIsServedAgainOnceItListens(t *testing.T) {
	for _, listeners := range [][]string{{"127.0.0.1:0"}, {"127.0.0.1:0", "127.0.0.1:0"}} {
		r := accepting(t, Config{}, Options{Handler: echo}, listeners...)
		bound, err := unix.Getsockname(r.kept[0])
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			before := r.logs.FilterMessage("listener broken").Len()
			if err := unix.Shutdown(r.kept[0], unix.SHUT_RD); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the worker to see it", func() bool { return r.logs.FilterMessage("listener broken").Len() == before+1 })
			if len(listeners) > 1 {
				ask(t, r.dial(1), "x", "x")
			}
			// A port that the kernel chose is not bound any more.
			if err := unix.Bind(r.kept[0], bound); err != nil && err != unix.EINVAL {
				t.Fatal(err)
			}
			if err := unix.Listen(r.kept[0], 16); err != nil {
				t.Fatal(err)
			}
			ask(t, r.dial(0), "y", "y")
		}
		if n := r.logs.FilterMessage("listener broken").Len(); n != 2 {
			t.Errorf("said so %d times, want once for each time", n)
		}
	}
}

func TestMasterIsToldHowTheWorkerFares(t *testing.T) {
	r := accepting(t, Config{}, Options{Handler: echo})
	eventually(t, "a report", func() bool {
		report := got[*ipc.Report](r)
		return report != nil && report.HeapBytes > 0 && report.Goroutines > 0
	})
}

func TestSlotNamesItsWorker(t *testing.T) {
	r := start(t, Config{}, Options{Handler: echo, Build: "v1.2.3"})
	if pid, generation := r.slot.PID.Load(), r.slot.Generation.Load(); int(pid) != os.Getpid() || generation != 3 {
		t.Errorf("slot says pid %d generation %d", pid, generation)
	}
	hello := got[*ipc.Hello](r)
	if hello == nil || hello.Protocol != ipc.ProtocolVersion || hello.Build != "v1.2.3" || hello.PID != os.Getpid() {
		t.Errorf("hello %+v", hello)
	}
}

func TestLogLevelChanges(t *testing.T) {
	r := start(t, Config{}, Options{Handler: echo})
	r.send(&ipc.LogLevel{Level: "shouting"})
	r.logged("log level not changed")
	r.send(&ipc.LogLevel{Level: "warn"})
	r.send(&ipc.Unknown{Name: "from_the_future"})
	r.logged("message ignored")
}

func TestBadMessageIsSurvived(t *testing.T) {
	r := accepting(t, Config{}, Options{Handler: echo})
	r.send(&ipc.Unknown{Name: ipc.Type(`"`)})
	r.logged("message ignored")
	ask(t, r.dial(0), "x", "x")
}

func TestDumpShowsEveryGoroutine(t *testing.T) {
	r := accepting(t, Config{}, Options{Handler: echo})
	ask(t, r.dial(0), "x", "x")
	r.send(&ipc.Dump{})
	eventually(t, "the dump", func() bool {
		text := make([]byte, 1<<20)
		n, err := r.crash.ReadAt(text, 0)
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		s := string(text[:n])
		return strings.Contains(s, "(*loop).run") && strings.Contains(s, "(*worker).serve")
	})
}

func failed(t *testing.T, cfg Config, o Options) (*ipc.Failed, error) {
	t.Helper()
	r := launch(t, cfg, o)
	err := r.wait()
	eventually(t, "failed", func() bool { return got[*ipc.Failed](r) != nil })
	if got[*ipc.Ready](r) != nil {
		t.Error("said ready as well")
	}
	return got[*ipc.Failed](r), err
}

func TestBadConfigurationIsFatal(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		o    Options
		want string
	}{
		"mode":     {Config{Mode: "juggling"}, Options{Handler: echo}, `mode: "juggling"`},
		"nothing":  {Config{}, Options{}, "0 of Handler"},
		"too much": {Config{}, Options{Handler: echo, NewHandler: func() Handler { return echo }}, "2 of Handler"},
		"configure": {Config{Settings: json.RawMessage(`{"colour":"red"}`)}, Options{
			Configure: func(s json.RawMessage, _ *Options) error { return errors.New("no colour like " + string(s)) },
		}, `no colour like {"colour":"red"}`},
		"useless hook": {Config{}, Options{Service: new(closedService), Hooks: Hooks{ProcessRequest: func(*Conn, func()) {}}}, "ProcessRequest"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := failed(t, c.cfg, c.o)
			exit := new(ExitError)
			if !errors.As(err, &exit) || exit.Code != ExitConfig || m.Code != ExitConfig {
				t.Errorf("message %+v, error %#v; want code %d", m, err, ExitConfig)
			}
			if !strings.Contains(m.Message, c.want) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("message %q, error %q; want %q in both", m.Message, err, c.want)
			}
		})
	}
}

// Another try may go better: the master must not give up for good.
func TestPanicInConfigureIsNoConfigurationError(t *testing.T) {
	m, err := failed(t, Config{}, Options{Configure: func(json.RawMessage, *Options) error { panic("dear me") }})
	if exit := new(ExitError); !errors.As(err, &exit) || exit.Code != 1 || m.Code != 1 || !strings.Contains(m.Message, "dear me") {
		t.Errorf("message %+v, error %#v; want code 1 and the panic", m, err)
	}
}

// A worker that still sets itself up must hear that it is to leave: the death
// of its master, above all, will not be told twice.
func TestWorkerLeavesWhileItSetsItselfUp(t *testing.T) {
	for name, tell := range map[string]func(r *rig){
		"master gone": func(r *rig) { _ = r.channel.Close() },
		"stop":        func(r *rig) { r.send(&ipc.Stop{}) },
	} {
		t.Run(name, func(t *testing.T) {
			begun, release := make(chan struct{}), make(chan struct{})
			defer close(release)
			r := launch(t, Config{}, Options{Configure: func(json.RawMessage, *Options) error {
				close(begun)
				<-release
				return errors.New("too late")
			}})
			<-begun
			tell(r)
			if err := r.wait(); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

// logTaker is a Service that only wants the access log.
type logTaker struct{ given chan struct{} }

func (*logTaker) Serve(net.Listener) error    { return nil }
func (*logTaker) Drain(context.Context) error { return nil }
func (s *logTaker) HandleAccessLog(AccessLog) { close(s.given) }

// What the set-up of a worker that leaves still writes to must be there.
func TestSetUpMayEndAfterTheWorkerHasLeft(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	taker := &logTaker{make(chan struct{})}
	r := launch(t, Config{AccessLog: true}, Options{Service: taker, Configure: func(json.RawMessage, *Options) error {
		close(begun)
		<-release
		return nil
	}})
	<-begun
	r.send(&ipc.Stop{})
	if err := r.wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
	close(release)
	within(t, "the access log, which names the worker's generation", taker.given)
}

func TestConfigureMakesTheProgram(t *testing.T) {
	r := accepting(t, Config{Settings: json.RawMessage(`"echo"`)}, Options{Configure: func(s json.RawMessage, o *Options) error {
		if string(s) == `"echo"` {
			o.Handler = echo
		}
		return nil
	}})
	ask(t, r.dial(0), "x", "x")
}

func TestModesOfOneConnectionMeanIt(t *testing.T) {
	for mode, want := range map[Mode]int{Sequential: 1, Forking: 1, Threading: 7, "": 7} {
		if got := (Config{Mode: mode, MaxConnections: 7}).WithDefaults().MaxConnections; got != want {
			t.Errorf("%q: %d connections, want %d", mode, got, want)
		}
	}
}

func TestRunNeedsAMaster(t *testing.T) {
	if err := Run(context.Background(), Options{Handler: echo}); err == nil {
		t.Fatal("ran without a master")
	}
	if Inherited() {
		t.Error("a test process takes itself for a worker")
	}
}
