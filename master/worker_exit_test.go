package master

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"prefork/internal/needtool"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"
)

// lost returns connections_lost of the first exit in the log that has it.
func (r *running) lost() int64 {
	r.t.Helper()
	for _, e := range r.log.FilterMessage("worker exited").All() {
		if n, ok := e.ContextMap()["connections_lost"].(int64); ok {
			return n
		}
	}
	return 0
}

// A handler that calls os.Exit(0) loses the connections of its worker.
func TestConnectionsOfAWorkerThatExitsCleanlyAreLost(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "exitCleanly", "tcp://127.0.0.1:0")})
	s := r.until("the loss", func(s Status) bool { return s.Totals.Failed >= 3 })
	if n := r.lost(); n != 3 {
		t.Errorf("%d lost connections in the log, want 3; log:\n%s", n, r.logText())
	}
	if s.Totals.Failed%3 != 0 {
		t.Errorf("%d connections are counted as failed, want 3 for each exit", s.Totals.Failed)
	}
}

func TestConnectionsCutByAStopAreReported(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "cut", "tcp://127.0.0.1:0")})
	r.serves(1)
	if code, a := r.post("stop"); code != http.StatusOK {
		t.Fatalf("stop = %d %+v", code, a)
	}
	if err := r.wait(); err != nil {
		t.Error(err)
	}
	if n := r.lost(); n != 2 {
		t.Errorf("%d lost connections in the log, want 2; log:\n%s", n, r.logText())
	}
	if n := r.log.FilterMessage("connections cut at the drain deadline").Len(); n != 0 {
		t.Error("the log attributes the loss to a drain")
	}
}

// When a listener closes while the server runs, its queued connections are lost.
func TestConnectionsQueuedOnAClosedListenerAreLogged(t *testing.T) {
	core, log := observer.New(zap.InfoLevel)
	m := New(Options{Log: zap.New(core)})
	defer m.close()
	l, err := tryBind("tcp://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m.generations[1] = &generation{number: 1, listeners: []*listener{l}}
	m.retire(1)
	if n := log.FilterMessage("connections abandoned").FilterField(zap.Int("connections", 1)).Len(); n != 1 {
		t.Errorf("logged %d times that a connection was abandoned, want once", n)
	}
}

func TestDescriptorsAndProcessesReturnToTheBaseline(t *testing.T) {
	r := start(t, Options{Generation: generationOf(2, "", "tcp://127.0.0.1:0")})
	r.serves(2)
	r.post("reload") // the first one opens the control client's connection
	r.serves(2)
	before := countFDs(t)
	for range 10 {
		if code, a := r.post("reload"); code != http.StatusOK {
			t.Fatalf("reload = %d %+v; log:\n%s", code, a, r.logText())
		}
		s := r.serves(2)
		if err := unix.Kill(s.Workers[0].PID, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		r.until("a replacement", func(now Status) bool {
			return now.Totals.Restarts > s.Totals.Restarts && len(now.Workers) == 2 && now.Workers[0].State == "ready" && now.Workers[1].State == "ready"
		})
	}
	r.client.CloseIdleConnections()
	r.until("the descriptors to return", func(Status) bool { return countFDs(t) <= before })
	if zombies := children(t, "Z"); len(zombies) > 0 {
		t.Errorf("zombies: %v", zombies)
	}
}

// children lists this process's children in a state.
func children(t *testing.T, state string) (pids []string) {
	t.Helper()
	// The kernel lists children by the thread that started them. In Go that may
	// be any thread.
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(files) == 0 {
		needtool.Skip(t, "the kernel lists no children: %v", err)
	}
	var list []byte
	for _, file := range files {
		data, _ := os.ReadFile(file) // the children of an ended thread move to another
		list = append(list, data...)
	}
	for _, pid := range strings.Fields(string(list)) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err == nil && strings.HasPrefix(string(stat[strings.LastIndexByte(string(stat), ')')+2:]), state) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestASpareThatReportsBusyWithoutAConnectionIsReplacedSlowly(t *testing.T) {
	g := generationOf(2, "idle", "tcp://127.0.0.1:0")
	g.Policy.OneShot, g.Policy.MinSpare, g.Policy.Max = true, 2, 8
	g.Policy.Probation = -1
	r := start(t, Options{Generation: g})
	r.untilLoop("replacements that wait", func(*Master) bool {
		return r.log.FilterMessage("replacement delayed").Len() >= 3
	})
	if r.log.FilterMessage("worker unfit").Len() == 0 {
		t.Errorf("no worker was unfit; log:\n%s", r.logText())
	}
}

func TestCrashIsLoggedOnceWithItsEvidence(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "panic", "tcp://127.0.0.1:0")})
	var exit *ExitError
	if err := r.wait(); !errors.As(err, &exit) || exit.Code != 1 {
		t.Fatalf("Run = %v, want an ExitError with code 1", err)
	}
	exits := r.log.FilterMessage("worker exited").All()
	if len(exits) == 0 {
		t.Fatalf("no exit in the log:\n%s", r.logText())
	}
	fields := exits[0].ContextMap()
	evidence, _ := fields["evidence"].(string)
	if !strings.Contains(evidence, "panic: deliberate") || fields["pid"] == nil {
		t.Errorf("exit logged with %v, want the panic", fields)
	}
}
