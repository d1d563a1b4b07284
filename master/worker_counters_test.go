package master

import (
	"math"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// aWorker returns a worker with counters, without a process.
func aWorker(t *testing.T, slot int) *worker {
	t.Helper()
	memory, fd, err := ipc.NewSlot()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = unix.Close(fd), memory.Close() })
	begun := time.Now().Add(-time.Hour)
	return &worker{link: link{memory: memory, started: begun}, slot: slot, startedMono: ipc.Now() - int64(time.Hour), countedAt: begun}
}

// seen sets the age of the last reading of the worker's counters.
func (w *worker) seen(ago time.Duration) { w.countedAt = time.Now().Add(-ago) }

func TestPlausibleCountersAreAccepted(t *testing.T) {
	m, w := New(Options{}), aWorker(t, 0)
	for n := uint64(1); n <= 3; n++ {
		w.memory.Accepted.Store(50_000 * n)
		w.memory.Handled.Store(50_000 * n)
		w.memory.BytesOut.Store(5e9 * n)
		w.memory.Latency.Observe(59 * time.Minute)
		w.memory.Age.Observe(time.Minute)
		w.seen(time.Second)
		m.count(w)
		if f := w.counted; f.accepted != 50_000*n || f.bytesOut != 5e9*n || f.latency.count() != n || f.age.sumNS != 60*n*uint64(time.Second) {
			t.Fatalf("look %d: %+v", n, f)
		}
	}
}

func TestImplausibleCountersAreIgnored(t *testing.T) {
	for name, lie := range map[string]func(s *ipc.Slot){
		"went back":                  func(s *ipc.Slot) { s.Handled.Store(9) },
		"below zero":                 func(s *ipc.Slot) { s.Handled.Store(math.MaxUint64 - 9) },
		"too many connections":       func(s *ipc.Slot) { s.Accepted.Add(2e6) },
		"too many bytes":             func(s *ipc.Slot) { s.BytesIn.Add(1 << 62) },
		"a histogram that went back": func(s *ipc.Slot) { s.Latency.Counts[8].Store(0) },
		"too many answers":           func(s *ipc.Slot) { s.Latency.Counts[23].Add(math.MaxUint64) },
		"longer than its life":       func(s *ipc.Slot) { s.Age.SumNS.Add(1 << 63) },
	} {
		m, w := New(Options{}), aWorker(t, 0)
		w.memory.Accepted.Store(10)
		w.memory.Handled.Store(10)
		w.memory.BytesIn.Store(10)
		for range 10 {
			w.memory.Latency.Observe(time.Millisecond)
			w.memory.Age.Observe(time.Millisecond)
		}
		w.seen(time.Second)
		m.count(w)
		good := w.counted
		if good.accepted != 10 || good.latency.count() != 10 {
			t.Fatalf("%+v", good)
		}
		lie(w.memory)
		w.seen(time.Second)
		m.count(w)
		if w.counted != good {
			t.Errorf("%s: %+v", name, w.counted)
		}
		m.addExited(w, 0, 0)
		if sums := m.slots[0]; sums.Accepted != 10 || sums.Handled != 10 || sums.BytesIn != 10 || m.latency.count() != 10 || m.age.sumNS != good.age.sumNS {
			t.Errorf("%s: the sums are %+v", name, m.slots[0])
		}
	}
}

// False counters that grow slowly have the same limit. True counters that were
// not read for a long time are accepted.
func TestTheGrowthOfCountersIsLimitedByTime(t *testing.T) {
	m, w := New(Options{}), aWorker(t, 0)
	w.memory.Accepted.Store(30e6)
	w.seen(time.Second)
	m.count(w)
	if w.counted.accepted != 0 {
		t.Errorf("30 million connections in a second were believed")
	}
	w.seen(time.Minute)
	m.count(w)
	if w.counted.accepted != 30e6 {
		t.Errorf("30 million connections in a minute were not believed")
	}
}

func TestAHeartbeatInTheFutureIsIgnored(t *testing.T) {
	w := aWorker(t, 0)
	for _, c := range []struct {
		beat        int64
		least, most time.Duration
	}{
		{0, 0, 0},
		{ipc.Now(), 0, time.Minute},
		{ipc.Now() + int64(time.Millisecond), 0, time.Minute},
		{ipc.Now() - int64(10*time.Minute), 10 * time.Minute, 20 * time.Minute},
		{ipc.Now() + int64(10*time.Minute), time.Hour, 2 * time.Hour},
		{math.MaxInt64, time.Hour, 2 * time.Hour},
		{math.MinInt64, time.Minute, 1 << 62},
	} {
		w.memory.Beat.Store(c.beat)
		if got := w.silence(); got < c.least || got > c.most {
			t.Errorf("beat %d: silent for %v, want %v to %v", c.beat, got, c.least, c.most)
		}
	}
}

func TestActiveAndLostConnectionsArePlausible(t *testing.T) {
	w := aWorker(t, 0)
	w.counted = counters{accepted: 10, handled: 4, failed: 3}
	for active, want := range map[int32][2]int{-7: {0, 0}, 2: {2, 2}, 5: {3, 3}, math.MaxInt32: {3, 3}} {
		w.memory.Active.Store(active)
		if got := [2]int{w.active(), w.lost()}; got != want {
			t.Errorf("%d: active and lost %v, want %v", active, got, want)
		}
	}
	if w.counted.handled = 20; w.lost() != 0 {
		t.Errorf("%d lost connections with a negative count, want 0", w.lost())
	}
}

func TestFalseCountersOfAWorkerChangeOnlyItsOwn(t *testing.T) {
	r := start(t, Options{Generation: generationOf(3, "lie", "tcp://127.0.0.1:0")})
	s := r.until("all to serve", func(s Status) bool { return s.State == "running" && len(s.Workers) == 3 })
	check := func(accepted uint64) {
		t.Helper()
		// The other workers count one connection and one answer each.
		s = r.until("the honest workers' counts", func(s Status) bool { return s.Totals.Accepted == accepted })
		if s.Totals.Handled != 0 || s.Totals.BytesIn != 0 || s.Totals.Restarts > 1 || s.HandlerLatency.SumS > 1 || s.ConnectionAge.SumS != 0 {
			t.Errorf("%+v, latency %+v", s.Totals, s.HandlerLatency)
		}
	}
	check(2)
	for _, w := range s.Workers {
		if w.Slot == 0 {
			if err := unix.Kill(w.PID, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	s = r.until("the death to be entered", func(s Status) bool { return s.Totals.Restarts == 1 && len(s.Workers) == 3 })
	check(2)
	if n := s.Totals.Failed; n != 0 {
		t.Errorf("%d failed connections of a worker that accepted none", n)
	}
}

// Workers are summed in any order. If a rounding error made a sum decrease,
// Prometheus would see a restart.
func TestTheOrderOfWorkersDoesNotChangeASum(t *testing.T) {
	sum := func(ns ...uint64) float64 {
		var total tally
		for _, n := range ns {
			total.add(&tally{sumNS: n})
		}
		return total.histogram().SumS
	}
	if one, other := sum(1e8, 2e8, 3e8), sum(3e8, 2e8, 1e8); one != other {
		t.Errorf("%v in one order, %v in the other", one, other)
	}
	if most := sum(1<<64-1, 1); most < sum(1<<64-1) {
		t.Errorf("an absurd sum wraps to %v", most)
	}
}

func TestCountersOfASlotOutliveItsWorkers(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	r.serves(1)
	for n := uint64(1); n <= 3; n++ {
		// The fake worker counts one accept and one answer at each Resume.
		s := r.until("the worker's count", func(s Status) bool { return len(s.Slots) > 0 && s.Totals.Accepted == n })
		var sum, answers uint64
		for _, row := range s.Slots {
			sum += row.Accepted
			answers += row.Answers
		}
		if sum != n || answers != n {
			t.Fatalf("the slots count %d accepts and %d answers, the totals %d: %+v", sum, answers, n, s.Slots)
		}
		if s.Reloads.OK != n-1 {
			t.Errorf("%d reloads were counted, want %d", s.Reloads.OK, n-1)
		}
		before := s.CPUS
		if code, answer := r.post("reload"); code != http.StatusOK {
			t.Fatalf("reload: %+v", answer)
		}
		s = r.serves(1)
		if s.CPUS < before {
			t.Errorf("processor time went from %v back to %v", before, s.CPUS)
		}
	}
}
