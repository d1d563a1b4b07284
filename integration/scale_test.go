package integration

import (
	"syscall"
	"testing"
)

func TestFiftyScalesUnderThreeLoadsDropNothing(t *testing.T) {
	t.Parallel()
	text, http := Start(t, line(1)), Start(t, web(1))
	textBase, httpBase := text.Footprint(), http.Footprint()
	network, address := text.Address("")
	loads := startLoads(t.Context(), network, address, Persistent, PerRequest)
	network, address = http.Address("")
	loads = append(loads, startLoads(t.Context(), network, address, KeepAlive)...)
	for i := range times(50) {
		to := "scale?n=4"
		if i%2 == 1 {
			to = "scale?n=1"
		}
		waitOK(t, 5, loads...)
		inParallel(func() { text.Do(to) }, func() { http.Do(to) })
	}
	inParallel(func() { text.Do("scale?n=1") }, func() { http.Do("scale?n=1") })
	waitOK(t, 50, loads...)
	mustAllSucceed(t, loads...)
	for s, base := range map[*Server]Footprint{text: textBase, http: httpBase} {
		if status := s.WaitWorkers(1); status.Totals.Restarts != 0 {
			t.Errorf("scaling counted as restarts: %v", status)
		}
		s.WaitFootprint(base)
	}
}

func TestScaleAnswersWithTheNewTarget(t *testing.T) {
	s := Start(t, line(2))
	for _, step := range []struct {
		command, target string
		workers         int
	}{{"scale?n=4", "4", 4}, {"scale?n=%2B1", "5", 5}, {"scale?n=+1", "6", 6}, {"scale?n=-1", "5", 5}, {"scale?n=1", "1", 1}} {
		if a := s.Do(step.command); a.Target != step.target {
			t.Errorf("%s: target %q, want %q", step.command, a.Target, step.target)
		}
		s.WaitWorkers(step.workers)
	}
	for _, bad := range []string{"scale", "scale?n=0", "scale?n=many"} {
		if a, err := s.Command(bad); err != nil || a.OK || a.Code != 409 || a.Error == "" {
			t.Errorf("%s: %+v, %v; want a refusal", bad, a, err)
		}
	}
}

func TestTTINAndTTOUChangeTheTarget(t *testing.T) {
	s := Start(t, line(2))
	s.Signal(syscall.SIGTTIN)
	s.WaitWorkers(3)
	s.Signal(syscall.SIGTTOU)
	s.WaitWorkers(2)
	s.Signal(syscall.SIGTTOU)
	s.WaitWorkers(1)
	s.Signal(syscall.SIGTTOU)                         // never below one
	Wait(t, "the third TTOU", func() (bool, string) { // else the kernel may deliver TTIN first
		return s.Log.Count("msg", "signal received", "does", "one worker fewer") == 3, Tail(s.Log.Text(), 3)
	})
	s.Signal(syscall.SIGTTIN)
	s.WaitWorkers(2)
}

// A recycled worker is replaced before it exits. Recycling is not counted as a
// restart.
func TestRecyclingDropsNothing(t *testing.T) {
	t.Parallel()
	c := line(2)
	c.RecycleConnections = 100
	s := Start(t, c)
	first := s.WaitWorkers(2)
	network, address := s.Address("")
	loads := startLoads(t.Context(), network, address, Persistent, PerRequest)
	s.WaitStatus("both first workers recycled", func(status *Status) bool {
		return status.Worker(first.Workers[0].PID) == nil && status.Worker(first.Workers[1].PID) == nil
	})
	mustAllSucceed(t, loads...)
	if status, err := s.Status(); err != nil || status.Totals.Restarts != 0 || status.Generation != 1 {
		t.Errorf("want no restart and no reload: %v, %v", status, err)
	}
}

func TestRecycleCommandReplacesOneWorker(t *testing.T) {
	t.Parallel()
	s := Start(t, line(2))
	before := s.WaitWorkers(2)
	network, address := s.Address("")
	loads := startLoads(t.Context(), network, address, Persistent, PerRequest)
	waitOK(t, 10, loads...)
	s.Do("recycle?slot=0")
	after := s.WaitWorkers(2)
	kept := 0
	for _, w := range before.Workers {
		if after.Worker(w.PID) != nil {
			kept++
		}
	}
	if kept != 1 {
		t.Errorf("%d of 2 workers stayed, want 1: before %v; after %v", kept, before, after)
	}
	mustAllSucceed(t, loads...)
	if a, err := s.Command("recycle?slot=999"); err != nil || a.OK || a.Code != 409 {
		t.Errorf("an empty slot: %+v, %v", a, err)
	}
}

func TestLeakyWorkerIsRecycledByItsMemory(t *testing.T) {
	t.Parallel()
	c := line(2)
	c.RecycleRSS = 150 << 20
	s := Start(t, c)
	leaky := s.Dial()
	pid := leaky.WorkerPID()
	if answer := leaky.Ask("leak 200"); answer != "leaked" {
		t.Fatal(answer)
	}
	s.WaitStatus("the leaky worker to be replaced", func(status *Status) bool {
		w := status.Worker(pid)
		return len(status.Serving()) == 2 && (w == nil || w.State == "draining")
	})
	if answer := leaky.Ask("upper served until the end"); answer != "SERVED UNTIL THE END" {
		t.Error(answer)
	}
	_ = leaky.Close()
	s.WaitWorkers(2)
}
