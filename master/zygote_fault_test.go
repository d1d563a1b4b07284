package master

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// The outcome of the self-test is for all generations: it does not depend on what one of
// them sets.
func TestTheSelfTestHasOneProcessor(t *testing.T) {
	t.Setenv(procsVariable, "4")
	r := start(t, Options{Generation: forkingGeneration(t, 1, fault{})})
	r.spares(1, true) // the zygote of this test forks in any case
}

// A fault of the zygote costs time, and no worker.
func TestSparesAreExecutedIfTheZygoteIsAtFault(t *testing.T) {
	foreign := exec.Command("/proc/self/exe", "-test.run=^$")
	if err := foreign.Start(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, fault string
		pid         int
		lines       map[string]int
		cause       string // of the zygote's end
	}{
		{"not forkable", "not forkable", 0, map[string]int{"executing spares instead of forking": 1}, "stopped"},
		{"its start fails", "fails", 0, map[string]int{"zygote failed": 1}, "failed"},
		{"dies before it is ready", "dies starting", 0, nil, "crashed"},
		{"dies with forks outstanding", "dies with forks outstanding", 0, nil, "crashed"},
		{"names this process", "names another process", os.Getpid(), map[string]int{"zygote unfit": 1}, "unfit"},
		{"names nobody", "names another process", 1 << 22, map[string]int{"zygote unfit": 1}, "unfit"},
		{"names init", "names another process", 1, map[string]int{"zygote unfit": 1}, "unfit"},
		{"names all processes", "names another process", -1, map[string]int{"zygote unfit": 1}, "unfit"},
		{"names another part's process", "names another process", foreign.Process.Pid, map[string]int{"zygote unfit": 1}, "unfit"},
		{"names itself", "names itself", 0, map[string]int{"zygote unfit": 1}, "unfit"},
		{"answers another fork", "answers another fork", 0, map[string]int{"zygote unfit": 1}, "unfit"},
		{"cannot fork", "cannot fork", 0, map[string]int{"zygote unfit": 1, "worker not forked": 3}, "unfit"},
		{"sends what a worker sends", "sends what a worker sends", 0, map[string]int{"zygote unfit": 1}, "unfit"},
		{"is ready twice", "ready twice", 0, map[string]int{"zygote unfit": 1}, "unfit"},
		{"the self-test fails", "test fails", 0, map[string]int{"executing spares instead of forking": 1}, ""},
		{"the self-test dies", "test dies", 0, map[string]int{"executing spares instead of forking": 1}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := forkingGeneration(t, 4, fault{Zygote: tt.fault, PID: tt.pid})
			r := start(t, Options{Generation: g})
			var ends []string
			s := r.until("the spares, and the end of the zygote", func(s Status) bool {
				ends = r.zygoteEnds()
				ready := 0
				for _, w := range s.Workers {
					if w.State == "ready" {
						ready++
					}
				}
				return ready == 4 && len(s.Workers) == 4 && (tt.cause == "" || len(ends) > 0)
			})
			if tt.cause != "" && ends[0] != tt.cause {
				t.Errorf("the end of the zygote is %q, want %q", ends[0], tt.cause)
			}
			if s.Spawn != "exec" || s.SpawnReason == "" {
				t.Errorf("spawn %q (%s), want exec with a reason", s.Spawn, s.SpawnReason)
			}
			for message, n := range tt.lines {
				if got := r.count(message); got != n {
					t.Errorf("%d lines %q, want %d; log:\n%s", got, message, n, r.logText())
				}
			}
			r.untilLoop("the remains of the zygote to be reaped", func(m *Master) bool { return len(m.strays) == 0 })
			zombies := slices.DeleteFunc(children(t, "Z"), func(pid string) bool { return pid == strconv.Itoa(foreign.Process.Pid) })
			if len(zombies) > 0 {
				t.Errorf("zombies: %v", zombies)
			}
			if r.count("worker not spawned") > 0 || r.count("worker exited") > 0 {
				t.Errorf("a worker suffered; log:\n%s", r.logText())
			}
		})
	}
	if err := foreign.Wait(); err != nil {
		t.Errorf("Wait of the program's own child: %v", err)
	}
}

func TestSparesAreExecutedIfTheZygoteDoesNotAnswer(t *testing.T) {
	g := forkingGeneration(t, 2, fault{Zygote: "never answers", Once: filepath.Join(t.TempDir(), "once")})
	r := start(t, Options{Generation: g})
	r.untilLoop("a request", func(m *Master) bool {
		for z := range m.zygotes {
			if len(z.asked) == 2 {
				z.askedAt -= answerTime
				return true
			}
		}
		return false
	})
	r.spares(2, false)
	if n := r.count("zygote does not answer"); n != 1 {
		t.Errorf("%d lines about it, want 1; log:\n%s", n, r.logText())
	}
	r.untilLoop("another zygote", func(m *Master) bool {
		f := m.current.forking
		f.retryAt = min(f.retryAt, m.now()+1)
		return f.zygote != nil && f.zygote.ready
	})
	for _, w := range r.spares(2, false).Workers {
		kill(t, w.PID, unix.SIGKILL)
	}
	if s := r.spares(2, true); s.Spawn != "fork" || s.Forks.Forked != 2 {
		t.Errorf("spawn %q (%s), %+v", s.Spawn, s.SpawnReason, s.Forks)
	}
}

// A zygote that answers, but too slowly, is no help.
func TestASlowZygoteIsGivenUp(t *testing.T) {
	g := forkingGeneration(t, 12, fault{Zygote: "slow"})
	g.Policy.Max = 100
	g.Policy.MinSpare = 50
	g.Policy.Slots = 128
	r := start(t, Options{Generation: g})
	r.untilLoop("spawns that wait for a place at the zygote", func(m *Master) bool {
		f := m.current.forking
		if f == nil || len(f.waiting) == 0 || f.zygote == nil || len(f.zygote.asked) < mostForks {
			return false
		}
		f.waiting[0].since -= longestWait
		return true
	})
	r.until("the spares", func(s Status) bool { return s.State == "running" && len(s.Workers) == 50 })
	if n := r.count("zygote does not answer"); n != 1 {
		t.Errorf("%d lines about it, want 1; log:\n%s", n, r.logText())
	}
}

func TestAZygoteThatIsNeverReadyIsKilled(t *testing.T) {
	g := forkingGeneration(t, 2, fault{Zygote: "never ready"})
	g.Policy.DumpDelay = 10 * time.Millisecond
	r := start(t, Options{Generation: g})
	r.untilLoop("the zygote, which has no more time then", func(m *Master) bool {
		z := m.current.forking.zygote
		if z != nil {
			z.due = m.now()
		}
		return z != nil
	})
	r.spares(2, false)
	r.untilLoop("the end of the zygote", func(m *Master) bool { return len(r.zygoteEnds()) == 1 })
	killed := r.log.FilterMessage("zygote killed").FilterField(zap.String("event", "not ready")).Len() // a self-test may be slow to exit
	if r.count("zygote not ready") != 1 || killed != 1 {
		t.Errorf("log:\n%s", r.logText())
	}
	r.untilLoop("another zygote", func(m *Master) bool {
		f := m.current.forking
		f.retryAt = min(f.retryAt, m.now()+1)
		return f.zygote != nil
	})
	kill(t, r.spares(2, false).Workers[0].PID, unix.SIGKILL)
	r.until("a replacement that did not wait for the zygote", func(s Status) bool { return s.Totals.Restarts == 1 && len(s.Workers) == 2 })
	r.spares(2, false)
}

func TestTheFirstWorkersDoNotWaitLongForTheSelfTest(t *testing.T) {
	r := start(t, Options{Generation: forkingGeneration(t, 2, fault{Zygote: "test hangs"})})
	r.untilLoop("workers that wait", func(m *Master) bool {
		f := m.current.forking
		if f == nil || len(f.waiting) == 0 || m.forkTest.ended {
			return false
		}
		for z := range m.zygotes {
			if z.of == nil {
				z.due += time.Hour // no deadline of the self-test in this test
			}
		}
		m.forkTest.begunAt -= testWait
		return true
	})
	if s := r.spares(2, false); s.Spawn != "exec" || s.SpawnReason != "the self-test has not ended yet" {
		t.Errorf("spawn %q (%s)", s.Spawn, s.SpawnReason)
	}
	r.untilLoop("the end of the self-test", func(m *Master) bool {
		if m.forkTest.ended {
			t.Error("the workers waited for the end of the self-test")
		}
		return true
	})
}

func TestTheSelfTestHasADeadline(t *testing.T) {
	g := forkingGeneration(t, 2, fault{Zygote: "test hangs"})
	r := start(t, Options{Generation: g})
	r.untilLoop("the self-test", func(m *Master) bool {
		for z := range m.zygotes {
			if z.of == nil && z.helloReceived {
				z.due = m.now()
				return true
			}
		}
		return false
	})
	s := r.spares(2, false)
	if s.Spawn != "exec" || r.count("executing spares instead of forking") != 1 {
		t.Errorf("spawn %q (%s); log:\n%s", s.Spawn, s.SpawnReason, r.logText())
	}
	r.untilLoop("its end", func(m *Master) bool { return len(m.zygotes) == 0 })
	if code, a := r.post("reload"); code != http.StatusOK {
		t.Fatalf("reload = %d %+v", code, a)
	}
	if s := r.spares(2, false); s.Spawn != "exec" || len(s.Zygotes) != 0 {
		t.Errorf("after a reload: spawn %q, zygotes %+v; want no other try", s.Spawn, s.Zygotes)
	}
}

func TestStillbornProcessesAreReaped(t *testing.T) {
	r := start(t, Options{Generation: forkingGeneration(t, 3, fault{Zygote: "stillborn"})})
	s := r.spares(3, true)
	if s.Forks.Stillborn != 6 {
		t.Errorf("%d stillborn, want 6", s.Forks.Stillborn)
	}
	r.untilLoop("them to be reaped", func(m *Master) bool { return len(m.strays) == 0 && len(children(t, "Z")) == 0 })
}

func TestAWorkerIsNotNamedTwice(t *testing.T) {
	r := start(t, Options{Generation: forkingGeneration(t, 2, fault{Zygote: "names a worker twice"})})
	r.untilLoop("the end of the zygote", func(*Master) bool { return len(r.zygoteEnds()) == 1 })
	r.until("two spares", func(s Status) bool { return s.State == "running" && len(s.Workers) == 2 })
	if n := r.count("zygote unfit"); n != 1 {
		t.Errorf("%d lines about it, want 1; log:\n%s", n, r.logText())
	}
}

// Spares and their zygote have nothing to do with each other once they are forked.
func TestTheDeathOfAZygoteTouchesNoWorker(t *testing.T) {
	for _, signal := range []unix.Signal{unix.SIGKILL, unix.SIGSTOP} {
		r := start(t, Options{Generation: forkingGeneration(t, 2, fault{})})
		before := r.spares(2, true)
		kill(t, before.Zygotes[0].PID, signal)
		if signal == unix.SIGSTOP {
			kill(t, before.Workers[0].PID, unix.SIGKILL)
			r.untilLoop("a request that is not answered", func(m *Master) bool {
				z := m.current.forking.zygote
				if z == nil || len(z.asked) == 0 {
					return false
				}
				z.askedAt -= answerTime
				return true
			})
		}
		r.until("another zygote", func(s Status) bool {
			return len(s.Zygotes) == 1 && s.Zygotes[0].State == "ready" && s.Zygotes[0].PID != before.Zygotes[0].PID
		})
		after := r.until("two spares", func(s Status) bool { return len(s.Workers) == 2 })
		if after.Workers[1].PID != before.Workers[1].PID {
			t.Errorf("%v: worker %d was replaced", signal, before.Workers[1].PID)
		}
		if ends := r.zygoteEnds(); len(ends) != 1 {
			t.Errorf("%v: zygotes ended %v; log:\n%s", signal, ends, r.logText())
		}
	}
}

func TestAFloodOfAZygoteIsReadSlowly(t *testing.T) {
	r := start(t, Options{Generation: forkingGeneration(t, 2, fault{Zygote: "floods"})})
	r.untilLoop("the flood", func(*Master) bool { return r.count("worker sends too many messages") == 1 })
	r.until("the spares", func(s Status) bool { return s.State == "running" && len(s.Workers) == 2 })
}

func TestForkedWorkersThatHangEndTheForking(t *testing.T) {
	g := forkingGeneration(t, 5, fault{Zygote: "hung workers"})
	r := start(t, Options{Generation: g})
	r.spares(5, true)
	r.untilLoop("them to be killed", func(m *Master) bool {
		for _, w := range m.workers {
			if w.forked {
				m.applyKill(w.id)
			}
		}
		return true
	})
	s := r.until("executed spares", func(s Status) bool {
		for _, w := range s.Workers {
			if w.Forked || w.State != "ready" {
				return false
			}
		}
		return len(s.Workers) == 5
	})
	if s.Forks.Hung != 5 || s.Spawn != "exec" || r.count("executing spares instead of forking") != 1 {
		t.Errorf("hung %d, spawn %q (%s); log:\n%s", s.Forks.Hung, s.Spawn, s.SpawnReason, r.logText())
	}
	for _, e := range r.log.FilterMessage("worker exited").All() {
		if threads, _ := e.ContextMap()["threads"].(string); threads == "" {
			t.Errorf("no threads in %v", e.ContextMap())
		}
	}
}

func TestHungRate(t *testing.T) {
	var r hungRate
	now := 10 * time.Minute
	r.add(now, 350, 3)
	if why, yes := r.tooMany(now); yes {
		t.Error(why)
	}
	r.add(now+20*time.Second, 0, 1)
	if why, yes := r.tooMany(now + 20*time.Second); !yes || why != "4 of 350 forked workers hung within a minute" {
		t.Errorf("%q, %v", why, yes)
	}
	r.add(now+30*time.Second, 100, 0)
	if why, yes := r.tooMany(now + 30*time.Second); yes {
		t.Errorf("%s, which is less than one in %d", why, hungShare)
	}
	if forked, hung := r.sum(now + 70*time.Second); forked != 100 || hung != 1 {
		t.Errorf("after a minute %d and %d are left", forked, hung)
	}
}
