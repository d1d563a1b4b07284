package integration

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The backoff delays the replacement of a worker that dies younger than this.
// These tests do not want the delay.
const minAge = 1.2 // seconds

// pickWorker waits for workers older than minAge and returns one at random.
func pickWorker(t *testing.T, s *Server, random *rand.Rand) Worker {
	t.Helper()
	var old []Worker
	s.WaitStatus("a worker old enough", func(status *Status) bool {
		old = nil
		for _, w := range status.Serving() {
			if w.AgeS > minAge {
				old = append(old, w)
			}
		}
		return len(old) > 0
	})
	return old[random.IntN(len(old))]
}

// waitReplaced waits until the killed worker is gone and the pool has its size
// again. It checks each status that it sees, and at the end that /proc agrees.
func waitReplaced(t *testing.T, s *Server, gone, workers, restarts int) {
	t.Helper()
	var accepted uint64
	s.WaitStatus("a replacement", func(status *Status) bool {
		pids, slots := make(map[int]bool), make(map[int]bool)
		for _, w := range status.Workers {
			if pids[w.PID] || slots[w.Slot] || w.Generation != 1 {
				t.Errorf("status lists a worker twice or a wrong generation: %v", status)
			}
			pids[w.PID], slots[w.Slot] = true, true
		}
		if len(status.Workers) > workers || status.Totals.Restarts > uint64(restarts) || status.Totals.Accepted < accepted {
			t.Errorf("wrong status: want at most %d workers, at most %d restarts, at least %d accepted: %v", workers, restarts, accepted, status)
		}
		accepted = status.Totals.Accepted
		return status.Worker(gone) == nil && len(status.Serving()) == workers && status.Totals.Restarts == uint64(restarts)
	})
	for _, pid := range Children(s.PID) {
		if stateOf(pid) == 'Z' && pid == gone {
			t.Errorf("worker %d is a zombie, but the status does not list it", pid)
		}
	}
}

// mustLoseOnlyFrom stops the loads. It fails the test if a connect failed, or if
// a request was lost that a killed worker did not hold.
func mustLoseOnlyFrom(t *testing.T, killed map[int]bool, loads ...*Running) (lost int) {
	t.Helper()
	for _, load := range loads {
		tally := load.Stop()
		t.Logf("%s clients: %v", load.Load.Kind, tally)
		if n := tally.Count(NoListener) + tally.Count(Unreached) + tally.Count(Wrong) + tally.Count(Timeout); n != 0 {
			t.Errorf("clients of other workers failed: %v", tally)
		}
		for pid, n := range tally.LostBy() {
			lost += n
			if pid != 0 && !killed[pid] {
				t.Errorf("%d requests lost by worker %d, which was not killed", n, pid)
			}
		}
	}
	return lost
}

func TestFiftyKilledWorkersLoseOnlyTheirOwnConnections(t *testing.T) {
	t.Parallel()
	const workers = 8
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	c := line(workers)
	c.CrashBudget = 1000
	s := Start(t, c)
	s.WaitWorkers(workers)
	base := s.Footprint()
	network, address := s.Address("")
	killed := make(map[int]bool)
	start := func() []*Running { return startLoads(t.Context(), network, address, Persistent, PerRequest) }

	// First, workers are killed while they work.
	n := times(50)
	loads := start()
	for i := range n / 2 {
		w := pickWorker(t, s, random)
		killed[w.PID] = true
		kill(t, w.PID, syscall.SIGKILL)
		waitReplaced(t, s, w.PID, workers, i+1)
	}
	mustLoseOnlyFrom(t, killed, loads...)

	// Then each worker is stopped before it is killed, so that the number of
	// connections that it holds is known exactly.
	loads = start()
	held := 0
	for i := n / 2; i < n; i++ {
		w := pickWorker(t, s, random)
		killed[w.PID] = true
		stop(t, w.PID)
		status, err := s.Status()
		if err != nil {
			t.Fatal(err)
		}
		held += status.Worker(w.PID).Active + 1 // one may be accepted and not yet counted
		kill(t, w.PID, syscall.SIGKILL)
		waitReplaced(t, s, w.PID, workers, i+1)
	}
	if lost := mustLoseOnlyFrom(t, killed, loads...); lost > held {
		t.Errorf("%d connections lost, but the killed workers held only %d", lost, held)
	}
	s.WaitFootprint(base)
	status := s.WaitStatus("no active connection", func(status *Status) bool { return status.Totals.Active == 0 })
	if status.State != "running" || status.Degraded != "" || len(status.Serving()) != workers {
		t.Errorf("after the kills: %v %s", status, status.Degraded)
	}
	if logged := s.Log.Count("msg", "worker exited", "signal", float64(syscall.SIGKILL)); logged != n {
		t.Errorf("%d of %d deaths are in the log", logged, n)
	}
}

func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("send %v to %d: %v", sig, pid, err)
	}
}

// stop sends SIGSTOP and waits until the process has stopped.
func stop(t *testing.T, pid int) {
	t.Helper()
	kill(t, pid, syscall.SIGSTOP)
	Wait(t, "the worker to stop", func() (bool, string) {
		state := stateOf(pid)
		return state == 'T', string(rune(state))
	})
}

// No client is refused, because the master keeps the listeners open.
func TestNoConnectionIsRefusedWhenAllWorkersDie(t *testing.T) {
	s := Start(t, line(2))
	for _, w := range s.WaitWorkers(2).Workers {
		kill(t, w.PID, syscall.SIGKILL)
	}
	for range 20 {
		if answer := s.Dial().Ask("upper x"); answer != "X" {
			t.Error(answer)
		}
	}
	s.WaitStatus("two new workers", func(status *Status) bool {
		return len(status.Serving()) == 2 && status.Totals.Restarts == 2
	})
}

// In a crash loop the restarts slow down and the status is degraded. When the
// cause is gone, the server recovers.
func TestCrashLoopIsSlowedDownAndReported(t *testing.T) {
	t.Parallel()
	c := line(2)
	c.CrashBudget = 3
	s := Start(t, c)
	for range 4 {
		for _, w := range s.WaitStatus("workers", func(status *Status) bool { return len(status.Serving()) > 0 }).Serving() {
			kill(t, w.PID, syscall.SIGKILL)
			s.WaitStatus("the killed worker to be gone", func(status *Status) bool { return status.Worker(w.PID) == nil })
		}
	}
	s.WaitStatus("degraded", func(status *Status) bool { return status.Degraded != "" })
	Wait(t, "an error in the log", func() (bool, string) {
		return s.Log.Count("level", "error", "role", "master") == 1, Tail(s.Log.Text(), 5)
	})
	if answer := s.Dial().Ask("upper at last"); answer != "AT LAST" {
		t.Error(answer)
	}
}

// A worker whose messages cannot be trusted is replaced.
func TestWorkerThatSendsACorruptMessageIsReplaced(t *testing.T) {
	s := Start(t, line(2))
	client := s.Dial()
	pid := client.WorkerPID()
	client.Send("corrupt")
	s.WaitStatus("the corrupt worker to be replaced", func(status *Status) bool {
		return status.Worker(pid) == nil && len(status.Serving()) == 2
	})
	s.Log.WaitText(t, "this is no message")
}

// A worker whose loop hangs is dumped to show where, killed and replaced.
func TestHungWorkerIsDumpedAndKilled(t *testing.T) {
	t.Parallel()
	c := line(2)
	c.WorkerTimeout, c.PollInterval = 2*time.Second, 50*time.Millisecond
	s := Start(t, c)
	client := s.Dial()
	pid := client.WorkerPID()
	if answer := client.Ask("hangloop"); answer != "hung" {
		t.Fatal(answer)
	}
	s.WaitStatus("the hung worker to be replaced", func(status *Status) bool {
		return status.Worker(pid) == nil && len(status.Serving()) == 2
	})
	exit := exitLine(t, s, pid)
	evidence, _ := exit["evidence"].(string)
	if !strings.Contains(evidence, "hangLoop") || !strings.Contains(evidence, "goroutine ") {
		t.Errorf("the evidence does not show where the worker hung: %v", exit)
	}
	if s.Log.Count("msg", "worker hung", "pid", float64(pid)) != 1 {
		t.Error(`want one log line "worker hung"`)
	}
}

// exitLine waits for the one log line about a worker's exit and returns it.
func exitLine(t *testing.T, s *Server, pid int) Line {
	t.Helper()
	var found []Line
	Wait(t, fmt.Sprintf("the exit of worker %d in the log", pid), func() (bool, string) {
		found = nil
		for _, line := range s.Log.Lines() {
			if line["msg"] == "worker exited" && line["pid"] == float64(pid) {
				found = append(found, line)
			}
		}
		return len(found) > 0, Tail(s.Log.Text(), 5)
	})
	if len(found) != 1 {
		t.Errorf("the exit is logged %d times: %v", len(found), found)
	}
	return found[0]
}

// fatalCrash is a way to end the process that recover cannot stop, and the exit
// that follows.
type fatalCrash struct {
	command  string
	code     int
	evidence string // in the log line of the exit
	text     string // in the log
}

// The runtime writes the first line of a fatal error to standard error, but not
// to the crash output: fatal in panic.go prints it before it marks the thread as
// dying. So that line is in the log, and the stack is in the evidence. A panic
// does not have this gap.
var fatalCrashes = []fatalCrash{
	{"exit 3", 3, "", ""},
	{"nil", 2, "nil pointer dereference", "nil pointer dereference"},
	{"fatal", 2, "unlockUnlockedMutex", "fatal error: sync: unlock of unlocked mutex"},
}

// checkEvidence checks the log line about the exit of the worker, which held one
// connection.
func (w fatalCrash) checkEvidence(t *testing.T, s *Server, pid int) {
	t.Helper()
	exit := exitLine(t, s, pid)
	if exit["exit_code"] != float64(w.code) || exit["level"] != "warn" || exit["connections_lost"] != float64(1) {
		t.Errorf("exit %v; want a warning with code %d and one connection lost", exit, w.code)
	}
	if evidence, _ := exit["evidence"].(string); !strings.Contains(evidence, w.evidence) {
		t.Errorf("evidence %q does not contain %q", evidence, w.evidence)
	}
	s.Log.WaitText(t, w.text)
}

// Each crash is logged once, with the exit code and the output of the runtime.
func TestCrashLeavesEvidence(t *testing.T) {
	t.Parallel()
	c := line(2)
	c.CrashBudget = 1000
	s := Start(t, c)
	for _, crash := range fatalCrashes {
		t.Run(crash.command, func(t *testing.T) {
			client := s.Dial()
			pid := client.WorkerPID()
			client.Send(crash.command)
			client.WaitClosed()
			crash.checkEvidence(t, s, pid)
			s.WaitStatus("a replacement", func(status *Status) bool { return len(status.Serving()) == 2 })
		})
	}
}

func TestTotalsSurviveTheirWorkers(t *testing.T) {
	s := Start(t, line(1))
	for i := range 10 {
		client := s.Dial()
		client.Ask("upper " + strconv.Itoa(i))
		_ = client.Close()
	}
	handled := func(n uint64) func(*Status) bool {
		return func(status *Status) bool { return status.Totals.Handled == n && status.Totals.Active == 0 }
	}
	s.WaitStatus("ten handled", handled(10))
	kill(t, s.WaitWorkers(1).Workers[0].PID, syscall.SIGKILL)
	s.WaitStatus("a replacement", func(status *Status) bool {
		return status.Totals.Restarts == 1 && len(status.Serving()) == 1
	})
	status := s.WaitStatus("ten handled still", handled(10))
	if status.Totals.Accepted != 10 || status.Totals.BytesIn == 0 || status.Totals.BytesOut == 0 {
		t.Errorf("totals %+v", status.Totals)
	}
}
