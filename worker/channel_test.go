package worker

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testdir"
	"prefork/ipc"
)

// acks returns the orders that the worker has acknowledged.
func (r *rig) acks() (orders []uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.messages {
		if a, ok := m.(*ipc.Ack); ok {
			orders = append(orders, a.Order)
		}
	}
	return orders
}

func TestOrdersAreAcknowledgedOnceTheyAreDone(t *testing.T) {
	r := start(t, Config{}, Options{Handler: echo}, "127.0.0.1:0")
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r.send(&ipc.LogLevel{Order: 7, Level: "info"})
	r.send(&ipc.AccessLog{Order: 8}, int(null.Fd()))
	r.send(&ipc.AccessLog{}, int(null.Fd())) // the configuration has no access log
	r.lose()
	r.send(&ipc.LogLevel{Order: 11, Level: "info"})
	eventually(t, "the last order's acknowledgement", func() bool {
		a := r.acks()
		return len(a) > 0 && a[len(a)-1] == 11
	})
	if a := r.acks(); len(a) != 3 || a[0] != 7 || a[1] != 8 {
		t.Errorf("acknowledged %v, want 7, 8 and 11", a)
	}
	if n := len(r.logs.FilterMessage("message not understood").All()); n != 1 {
		t.Errorf("%d lines about lost descriptors, want 1", n)
	}
}

// lose sends an order three times with more descriptors than the worker accepts.
func (r *rig) lose() {
	fds := make([]int, ipc.MaxFiles+1)
	for range 3 {
		err := unix.Sendmsg(r.fd, []byte(`{"type":"access_log","body":{"order":10}}`), unix.UnixRights(fds...), nil, 0)
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// Each client of a Unix socket that accepts descriptors can block a thread.
func TestAUnixListenerThatTakesDescriptorsAllowsMoreThreads(t *testing.T) {
	t.Cleanup(func() { debug.SetMaxThreads(defaultMaxThreads) })
	debug.SetMaxThreads(defaultMaxThreads)
	start(t, Config{MaxConnections: 7}, Options{Handler: echo}, "127.0.0.1:0")
	if n := debug.SetMaxThreads(defaultMaxThreads); n != defaultMaxThreads {
		t.Errorf("with only TCP %d threads, want %d", n, defaultMaxThreads)
	}
	start(t, Config{MaxConnections: 7}, Options{Handler: echo}, filepath.Join(testdir.Short(t), "s"))
	if n, want := debug.SetMaxThreads(defaultMaxThreads), defaultMaxThreads+7+maxLingering; n != want {
		t.Errorf("with a Unix socket %d threads, want %d", n, want)
	}
}

func TestWorkerReportsItsFigures(t *testing.T) {
	r := accepting(t, Config{}, Options{Handler: echo})
	eventually(t, "a report", func() bool { return r.slot.HeapBytes.Load() > 0 && r.slot.Goroutines.Load() > 0 })
	if report := got[*ipc.Report](r); report != nil {
		t.Errorf("sent %+v, which wakes the master", report)
	}
}

func TestTheFirstConnectionAfterACalmIsReported(t *testing.T) {
	r := accepting(t, Config{}, Options{Handler: echo})
	active := func() (n int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, m := range r.messages {
			if report, ok := m.(*ipc.Report); ok && report.State == ipc.StateActive {
				n++
			}
		}
		return n
	}
	ask(t, r.dial(0), "a", "a")
	if n := active(); n != 0 {
		t.Fatalf("%d reports without a calm", n)
	}
	for want := range 2 {
		r.slot.Calm.Store(1)
		ask(t, r.dial(0), "a", "a")
		ask(t, r.dial(0), "a", "a")
		eventually(t, "a report", func() bool { return active() == want+1 })
	}
	if r.slot.Calm.Load() != 0 {
		t.Error("still calm after a connection")
	}
}

func TestSlotHasPIDAndGeneration(t *testing.T) {
	r := start(t, Config{}, Options{Handler: echo, Build: "v1.2.3"})
	if pid, generation := r.slot.PID.Load(), r.slot.Generation.Load(); int(pid) != os.Getpid() || generation != 3 {
		t.Errorf("slot has pid %d generation %d", pid, generation)
	}
	if n := r.slot.GOMAXPROCS.Load(); int(n) != runtime.GOMAXPROCS(0) {
		t.Errorf("slot has GOMAXPROCS %d, the runtime %d", n, runtime.GOMAXPROCS(0))
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

func TestWorkerSurvivesABadMessage(t *testing.T) {
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
