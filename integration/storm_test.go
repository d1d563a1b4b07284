package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// stormTest is the state of TestStormLosesOnlyConnectionsOfKilledWorkers.
type stormTest struct {
	t       *testing.T
	s       *Server
	random  *rand.Rand
	freezer Freezer
	killed  map[int]bool   // pids of the workers that the test killed
	held    int            // at most so many connections were held by them
	counts  map[string]int // actions by name
}

// duration returns PREFORK_STORM, or some seconds if it is not set.
func (st *stormTest) duration() time.Duration {
	text := os.Getenv("PREFORK_STORM")
	if text == "" {
		return time.Duration(times(15)) * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		st.t.Fatalf("PREFORK_STORM: %v", err)
	}
	return d
}

// seed returns PREFORK_STORM_SEED, or a random seed if it is not set.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := rand.Uint64()
	if text := os.Getenv("PREFORK_STORM_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("PREFORK_STORM_SEED: %v", err)
		}
	}
	t.Logf("PREFORK_STORM_SEED=%d", n)
	return n
}

// stormWorkerTimeout is shorter than a freeze.
const stormWorkerTimeout = 2 * time.Second

// The test reloads, scales, recycles, signals and freezes a server under load,
// in random order. No client is refused, only killed workers lose connections,
// and at the end the master holds as much as at the start. PREFORK_STORM=10m
// makes the test last ten minutes.
func TestStormLosesOnlyConnectionsOfKilledWorkers(t *testing.T) {
	c := line(4)
	c.CrashBudget, c.WorkerTimeout, c.LogLevel = 1e6, stormWorkerTimeout, "info"
	c.DrainTimeout = Patience
	s := Start(t, c)
	s.WaitWorkers(4)
	st := &stormTest{t: t, s: s, random: rand.New(rand.NewPCG(seed(t), 0)), killed: map[int]bool{}, counts: map[string]int{}}
	st.freezer = NewFreezer(t, s)
	s.Do("reload") // the first reload opens descriptors that stay open
	s.WaitWorkers(4)
	base, memory := s.Footprint(), RSS(s.PID)
	network, address := s.Address("")
	loads := startLoads(t.Context(), network, address, Persistent, PerRequest)
	waitOK(t, 50, loads...)

	for end := time.Now().Add(st.duration()); time.Now().Before(end) && !t.Failed(); {
		st.act()
		waitOK(t, 5, loads...)
	}
	// A worker that was killed while it was stopped may take a moment to exit.
	s.WaitStatus("state running", func(status *Status) bool { return status.State == "running" })
	s.Do("scale?n=4")
	s.WaitWorkers(4)
	t.Logf("%v", st.counts)

	lost := mustLoseOnlyFrom(t, st.killed, loads...)
	if lost > st.held {
		t.Errorf("%d connections lost; the %d killed workers held at most %d", lost, len(st.killed), st.held)
	}
	if n := s.Log.Count("msg", "worker hung"); n != 0 {
		t.Errorf("%d workers were reported as hung, want none", n)
	}
	s.WaitFootprint(base)
	if now := RSS(s.PID); now > 2*memory+32<<20 {
		t.Errorf("the master's memory grew from %d to %d bytes", memory, now)
	}
}

// act runs a random action. It returns when the server has answered or the
// signal has been sent.
func (st *stormTest) act() {
	st.t.Helper()
	actions := []struct {
		name string
		do   func()
	}{
		{"reload", func() { st.command("reload") }},
		{"HUP", func() { st.s.Signal(syscall.SIGHUP) }},
		{"two reloads", func() { inParallel(func() { st.command("reload") }, func() { st.command("reload") }) }},
		{"scale", func() { st.command(fmt.Sprintf("scale?n=%d", 2+st.random.IntN(5))) }},
		{"TTIN", func() { st.s.Signal(syscall.SIGTTIN) }},
		{"TTOU", func() { st.s.Signal(syscall.SIGTTOU) }},
		{"recycle", func() { st.withWorker(func(w Worker) { st.command(fmt.Sprintf("recycle?slot=%d", w.Slot)) }) }},
		{"KILL", func() { st.withWorker(st.kill) }},
		{"KILL during a reload", func() {
			inParallel(func() { st.command("reload") }, func() { st.withWorker(st.kill) })
		}},
		{"STOP and CONT", func() { st.withWorker(st.pause) }},
		{"TERM to a worker", func() { st.withWorker(func(w Worker) { _ = syscall.Kill(w.PID, syscall.SIGTERM) }) }},
		{"TERM to all workers", func() { st.toAll(syscall.SIGTERM) }},
		{"HUP to all workers", func() { st.toAll(syscall.SIGHUP) }},
		{"freeze", func() { st.freeze() }},
	}
	action := actions[st.random.IntN(len(actions))]
	st.counts[action.name]++
	action.do()
}

// command sends a command and fails the test without an answer. The answer may
// be an error, because a killed worker can fail a reload.
func (st *stormTest) command(text string) {
	if a, err := st.s.Command(text); err != nil || a.Code != 200 && a.Error == "" {
		st.t.Errorf("%s: %+v, %v; want an answer", text, a, err)
	}
}

func (st *stormTest) status() *Status {
	status, err := st.s.Status()
	if err != nil {
		st.t.Fatalf("status: %v", err)
	}
	return status
}

// withWorker calls do with a random serving worker, if there is one.
func (st *stormTest) withWorker(do func(Worker)) {
	if serving := st.status().Serving(); len(serving) > 0 {
		do(serving[st.random.IntN(len(serving))])
	}
}

// mu guards killed and held: two actions may run at once.
var mu sync.Mutex

// kill stops the worker before it kills it, so that its connections can be
// counted.
func (st *stormTest) kill(w Worker) {
	if syscall.Kill(w.PID, syscall.SIGSTOP) != nil {
		return
	}
	Wait(st.t, "the worker to stop", func() (bool, string) {
		state := stateOf(w.PID)
		return state == 'T' || state == 'Z' || state == 0, string(rune(state))
	})
	holds := 0
	if now := st.status().Worker(w.PID); now != nil {
		holds = now.Active
	}
	mu.Lock()
	st.killed[w.PID] = true
	st.held += holds + 1 // one may be accepted and not yet counted
	mu.Unlock()
	_ = syscall.Kill(w.PID, syscall.SIGKILL)
	st.s.WaitStatus("the killed worker to be gone", func(status *Status) bool { return status.Worker(w.PID) == nil })
}

// pause stops the worker for less than the worker timeout.
func (st *stormTest) pause(w Worker) {
	if syscall.Kill(w.PID, syscall.SIGSTOP) == nil {
		pass(time.Duration(st.random.Int64N(int64(stormWorkerTimeout / 4))))
		_ = syscall.Kill(w.PID, syscall.SIGCONT)
	}
}

func (st *stormTest) toAll(sig syscall.Signal) {
	for _, pid := range Children(st.s.PID) {
		_ = syscall.Kill(pid, sig)
	}
}

// freeze stops all processes for longer than the worker timeout.
func (st *stormTest) freeze() {
	d := stormWorkerTimeout + time.Duration(st.random.Int64N(int64(stormWorkerTimeout)))
	if err := st.freezer.Freeze(d); err != nil {
		st.t.Errorf("freeze: %v", err)
	}
}
