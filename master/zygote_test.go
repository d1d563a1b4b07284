package master

import (
	"encoding/json"
	"net/http"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/master/policy"
)

// forkingGeneration has spares that a zygote forks.
func forkingGeneration(t *testing.T, spares int, f fault) Generation {
	t.Helper()
	g := generationOf(1, "", "tcp://127.0.0.1:0")
	config, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	g.Worker = config
	g.Fork = true
	g.Policy.OneShot, g.Policy.MinSpare, g.Policy.Max = true, spares, 16
	return g
}

// forked waits until n spares are ready, all of them forked or all executed.
func (r *running) spares(n int, forked bool) Status {
	r.t.Helper()
	return r.until("the spares", func(s Status) bool {
		ready := 0
		for _, w := range s.Workers {
			if w.Forked == forked && w.State == "ready" && w.Generation == s.Generation {
				ready++
			}
		}
		return s.State == "running" && ready == n && len(s.Workers) == n
	})
}

// zygoteEnds lists the causes in the log, without the self-test.
func (r *running) zygoteEnds() (causes []string) {
	for _, e := range r.log.FilterMessage("zygote exited").All() {
		if cause := e.ContextMap()["event"].(string); cause != causeTested {
			causes = append(causes, cause)
		}
	}
	return causes
}

// count counts the lines of the log with this message.
func (r *running) count(message string) int { return r.log.FilterMessage(message).Len() }

func kill(t *testing.T, pid int, signal unix.Signal) {
	t.Helper()
	if err := unix.Kill(pid, signal); err != nil {
		t.Fatal(err)
	}
}

func TestAZygoteForksTheSpares(t *testing.T) {
	r := start(t, Options{Generation: forkingGeneration(t, 3, fault{})})
	s := r.spares(3, true)
	if s.Spawn != "fork" || s.SpawnReason != "" || s.Forks.Forked != 3 || len(s.Zygotes) != 1 || s.Zygotes[0].State != "ready" {
		t.Errorf("spawn %q (%s), forks %+v, zygotes %+v; want 3 forked by one zygote", s.Spawn, s.SpawnReason, s.Forks, s.Zygotes)
	}
	for _, w := range s.Workers {
		if group, err := unix.Getpgid(w.PID); err != nil || group != w.PID {
			t.Errorf("worker %d is in process group %d, %v; want its own", w.PID, group, err)
		}
	}
	kill(t, s.Workers[0].PID, unix.SIGKILL)
	r.until("a replacement that is forked", func(now Status) bool { return now.Forks.Forked == 4 && len(now.Workers) == 3 })
	s = r.spares(3, true)
	if n := r.count("worker exited"); n != 1 {
		t.Errorf("%d exits in the log, want 1; log:\n%s", n, r.logText())
	}
	if code, a := r.post("drain"); code != http.StatusOK || !a.OK {
		t.Errorf("drain = %d %+v", code, a)
	}
	if err := r.wait(); err != nil {
		t.Errorf("Run = %v", err)
	}
	if err := unix.Kill(s.Zygotes[0].PID, 0); err != unix.ESRCH {
		t.Errorf("the zygote is there after the end: %v", err)
	}
}

// The workers of a generation that never forks know nothing of all that.
func TestWithoutForkTheSparesAreExecuted(t *testing.T) {
	g := forkingGeneration(t, 2, fault{})
	g.Fork = false
	r := start(t, Options{Generation: g})
	if s := r.spares(2, false); s.Spawn != "exec" || s.SpawnReason != "" || len(s.Zygotes) != 0 {
		t.Errorf("spawn %q (%s), zygotes %+v; want exec and none", s.Spawn, s.SpawnReason, s.Zygotes)
	}
}

func TestEachGenerationHasItsZygote(t *testing.T) {
	r := start(t, Options{Generation: forkingGeneration(t, 2, fault{})})
	first := r.spares(2, true)
	if code, a := r.post("reload"); code != http.StatusOK {
		t.Fatalf("reload = %d %+v; log:\n%s", code, a, r.logText())
	}
	s := r.until("the old zygote to be gone", func(s Status) bool { return len(s.Zygotes) == 1 && s.Zygotes[0].Generation == 2 })
	if err := unix.Kill(first.Zygotes[0].PID, 0); err != unix.ESRCH {
		t.Errorf("the old zygote is still there: %v", err)
	}
	if len(s.Workers) != 2 || s.Forks.Forked != 4 {
		t.Errorf("%+v, %+v", s.Workers, s.Forks)
	}
	if ends := r.zygoteEnds(); len(ends) != 1 || ends[0] != causeStopped {
		t.Errorf("zygotes ended %v; log:\n%s", ends, r.logText())
	}
}

// A zygote that is stopped answers what it was asked before. Else the worker would be
// forked, and find that nobody has the other end of its channel.
func TestAZygoteThatIsStoppedAnswersFirst(t *testing.T) {
	r := start(t, Options{Generation: forkingGeneration(t, 2, fault{})})
	s := r.spares(2, true)
	r.untilLoop("a request", func(m *Master) bool {
		z := m.current.forking.zygote
		m.applySpawn(policy.Spawn{ID: 1000, Slot: 20, Generation: 1})
		m.stopZygote(z)
		if len(z.asked) != 1 {
			t.Errorf("%d workers are asked for, want 1", len(z.asked))
		}
		return true
	})
	r.untilLoop("the end of the zygote", func(m *Master) bool { return len(m.zygotes) == 0 })
	if now := r.until("the worker", func(Status) bool { return true }); now.Forks.Forked != s.Forks.Forked+1 {
		t.Errorf("%d workers were forked, want one more than %d; log:\n%s", now.Forks.Forked, s.Forks.Forked, r.logText())
	}
	r.untilLoop("its end", func(m *Master) bool {
		if w := m.workers[1000]; w != nil {
			_ = w.kill()
		}
		return m.workers[1000] == nil
	})
}

func TestAStopEndsTheZygoteToo(t *testing.T) {
	for _, f := range []string{"", "ignores stop", "never answers", "test hangs"} {
		g := forkingGeneration(t, 2, fault{Zygote: f})
		r := start(t, Options{Generation: g})
		r.untilLoop("the zygote", func(m *Master) bool { return m.current.forking.zygote != nil && m.current.forking.zygote.ready })
		if code, a := r.post("stop"); code != http.StatusOK {
			t.Fatalf("stop = %d %+v", code, a)
		}
		if err := r.wait(); err != nil {
			t.Errorf("%q: Run = %v", f, err)
		}
		if living := children(t, ""); len(living) > 0 {
			t.Errorf("%q: children are left: %v", f, living)
		}
		if r.count("executing spares instead of forking") > 0 {
			t.Errorf("%q: the end counts as a failure; log:\n%s", f, r.logText())
		}
	}
}

// A worker must not keep the former log because it was forked just then.
func TestOrdersReachAWorkerThatWasForkedMeanwhile(t *testing.T) {
	r := start(t, Options{Generation: forkingGeneration(t, 2, fault{Zygote: "careless"})})
	s := r.spares(2, true)
	r.post("log-level?level=debug")
	kill(t, s.Workers[0].PID, unix.SIGKILL)
	r.untilLoop("the new worker to have it", func(m *Master) bool {
		for _, w := range m.workers {
			if w.pid != s.Workers[0].PID && w.pid != s.Workers[1].PID && w.outbox.orders[ipc.TypeLogLevel] != nil {
				return true
			}
		}
		return false
	})
}

// A zygote sends a message for each worker.
func TestManyWorkersAreForkedWithoutAPause(t *testing.T) {
	g := forkingGeneration(t, 8, fault{Zygote: "short lives"})
	r := start(t, Options{Generation: g})
	r.until("many forks", func(s Status) bool { return s.Forks.Forked > 3*messageBurst })
	if n := r.count("worker sends too many messages"); n != 0 {
		t.Errorf("the zygote is held back %d times", n)
	}
	r.post("stop") // a drain waits for a worker that finds no connection
}
