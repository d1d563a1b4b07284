package master

import (
	"net"
	"net/http"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// lost returns connections_lost of the first exit that has it.
func (r *running) lost() int64 {
	r.t.Helper()
	for _, e := range r.log.FilterMessage("worker exited").All() {
		if n, ok := e.ContextMap()["connections_lost"].(int64); ok {
			return n
		}
	}
	return 0
}

// A handler that calls os.Exit(0) costs the connections of its worker.
func TestConnectionsOfAWorkerThatExitsCleanlyAreLost(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "desert", "tcp://127.0.0.1:0")})
	s := r.until("the loss", func(s Status) bool { return s.Totals.Failed >= 3 })
	if n := r.lost(); n != 3 {
		t.Errorf("the log says that %d connections were lost, want 3; log:\n%s", n, r.logText())
	}
	if s.Totals.Failed%3 != 0 {
		t.Errorf("%d connections are counted as failed, want 3 for each exit", s.Totals.Failed)
	}
}

func TestConnectionsThatAStopCutsAreReported(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "cut", "tcp://127.0.0.1:0")})
	r.serves(1)
	if code, a := r.post("stop"); code != http.StatusOK {
		t.Fatalf("stop = %d %+v", code, a)
	}
	if err := r.wait(); err != nil {
		t.Error(err)
	}
	if n := r.lost(); n != 2 {
		t.Errorf("the log says that %d connections were lost, want 2; log:\n%s", n, r.logText())
	}
	if n := r.log.FilterMessage("connections cut at the drain deadline").Len(); n != 0 {
		t.Error("the log says that a drain cut them")
	}
}

// A listener may close while the server goes on, and what waited there is lost.
func TestConnectionsThatWaitAtAListenerThatClosesAreToldOf(t *testing.T) {
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
		t.Errorf("said %d times that a connection was abandoned, want once", n)
	}
}
