package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"prefork/internal/script"
)

func TestSparesGrowFasterWhileShortAndShrinkByOne(t *testing.T) {
	s := spares{rate: 1}
	l := load{size: 2, min: 2, max: 100}
	var grown []int
	for range 8 { // no worker is idle
		change, full := s.decide(l, 40, 60)
		if full {
			t.Fatal("full before the maximum")
		}
		grown = append(grown, change)
		l.size += change
	}
	if want := []int{1, 2, 4, 8, 16, 32, 32, 3}; !slices.Equal(grown, want) {
		t.Errorf("grew by %v, want %v", grown, want)
	}
	var said []bool
	for range 3 {
		change, full := s.decide(l, 40, 60)
		if change != 0 {
			t.Errorf("changed by %d at the maximum", change)
		}
		said = append(said, full)
	}
	if want := []bool{true, false, false}; !slices.Equal(said, want) {
		t.Errorf("reported the maximum %v, want %v", said, want)
	}
	l.idle = 100
	for l.size > 2 {
		change, _ := s.decide(l, 40, 60)
		if change != -1 {
			t.Fatalf("changed by %d with %d idle, want -1", change, l.idle)
		}
		l.size--
	}
	if change, _ := s.decide(l, 40, 60); change != 0 {
		t.Errorf("changed by %d at the minimum", change)
	}
}

func TestStartingWorkersCountAsIdle(t *testing.T) {
	s := spares{rate: 8}
	if change, _ := s.decide(load{idle: 1, coming: 3, size: 8, min: 1, max: 20}, 4, 6); change != 0 {
		t.Errorf("changed by %d, want 0: three more are coming", change)
	}
	if s.rate != 1 {
		t.Errorf("rate is %d, want 1 once there are enough", s.rate)
	}
	if change, _ := s.decide(load{idle: 6, coming: 3, size: 9, min: 1, max: 20}, 4, 6); change != 0 {
		t.Errorf("changed by %d, want 0: what starts is not yet too much", change)
	}
}

func TestBackoffStaysWithinAFifthOfItsStep(t *testing.T) {
	c := Config{}.WithDefaults()
	r := random{1}
	for range 200 {
		var b brake
		for n := range 20 {
			wait, _ := b.crash(0, true, &c, &r)
			step := c.BackoffCap
			if n < 6 { // 100 ms << 6 is past the cap
				step = c.BackoffBase << n
			}
			if wait < step-step/5 || wait > step+step/5 {
				t.Fatalf("fast death %d waits %v, want about %v", n+1, wait, step)
			}
		}
	}
}

func TestCrashScoreDecays(t *testing.T) {
	c := Config{CrashBudget: 4}.WithDefaults()
	r := random{1}
	var b brake
	var now time.Duration
	for range 100 { // one a minute: the score tends to 2
		if _, spent := b.crash(now, false, &c, &r); spent || b.degraded {
			t.Fatalf("degraded at score %v", b.score)
		}
		now += time.Minute
	}
	n := 0
	for !b.degraded { // all at once
		b.crash(now, false, &c, &r)
		n++
	}
	if n != 4 {
		t.Errorf("degraded after %d crashes at once, want 4", n)
	}
	if b.String() == "" {
		t.Error("degraded without a reason")
	}
	if b.recover(b.recoversAt - 1) {
		t.Error("recovered too soon")
	}
	if !b.recover(b.recoversAt) || b.degraded || b.String() != "" {
		t.Error("did not recover")
	}
}

func TestDefaultsAreValid(t *testing.T) {
	for _, c := range []Config{{}, {OneShot: true}, {Min: 100}, {Max: 7}, {Min: MaxSlots}} {
		if errs := c.WithDefaults().Validate(); len(errs) > 0 {
			t.Errorf("%+v: %v", c, errs)
		}
	}
	once := Config{Max: 7}.WithDefaults()
	if once.WithDefaults() != once {
		t.Error("defaults of defaults differ")
	}
}

func TestValidateNamesEverythingThatIsWrong(t *testing.T) {
	base := Config{Max: 4}.WithDefaults()
	for want, change := range map[string]func(*Config){
		"slots is 5000":              func(c *Config) { c.Slots = 5000 },
		"min workers is -1":          func(c *Config) { c.Min = -1 },
		"below min workers":          func(c *Config) { c.Min = 5 },
		"do not fit":                 func(c *Config) { c.Max = 40; c.Slots = 30 },
		"min spare is -2":            func(c *Config) { c.MinSpare = -2 },
		"below min spare":            func(c *Config) { c.MinSpare = 4; c.MaxSpare = 3 },
		"above max workers":          func(c *Config) { c.OneShot = true; c.MinSpare = 5 },
		"backoff cap 1s is below":    func(c *Config) { c.BackoffBase = 2 * time.Second; c.BackoffCap = time.Second },
		"recycle connections":        func(c *Config) { c.RecycleConnections = 1 << 63 },
		"max old generations is -8":  func(c *Config) { c.MaxOldGenerations = -8 },
		"boot tries is -1, want 1 t": func(c *Config) { c.BootTries = -1 },
	} {
		c := base
		change(&c)
		text := listErrors(c.Validate())
		if !strings.Contains(text, want) {
			t.Errorf("got %q, want something with %q", text, want)
		}
	}
	bad := Config{Min: -1, Max: -1, MinSpare: -1, BootTries: -1}.WithDefaults()
	if n := len(bad.Validate()); n < 4 {
		t.Errorf("%d errors of at least 4", n)
	}
}

func TestRecyclingIsSpreadOverAPool(t *testing.T) {
	p := &checkedPlayer{t: t, c: newChecker()}
	p.do("boot min=64 recycle-connections=1000 recycle-age=100s", "up")
	seen := map[uint64]bool{}
	for _, w := range p.c.m.workers {
		seen[w.recycleConnections] = true
		if w.recycleConnections < 1000 || w.recycleConnections > 1100 || w.recycleAge < 100*time.Second || w.recycleAge > 110*time.Second {
			t.Errorf("recycled at %d connections or %v", w.recycleConnections, w.recycleAge)
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d different limits for 64 workers", len(seen))
	}
	var s Sampled
	for _, v := range p.c.m.Workers() {
		s.Samples = append(s.Samples, Sample{ID: v.ID, Served: 5000})
	}
	p.step(s)
	if n := p.c.m.serving.count(func(w *worker) bool { return w.retiring }); n != 16 {
		t.Errorf("%d of 64 recycled at once, want a quarter", n)
	}
}

func TestALogCanBeReplayedAsAScript(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(seed)
		again := New()
		w.c.listen = func(r record) {
			ev, err := parseEvent(script.Format(r.event))
			if err != nil {
				t.Fatal(err)
			}
			got, want := formatAll(again.Step(r.now, ev)), formatAll(r.actions)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, %s: got %v, want %v", seed, script.Format(ev), got, want)
			}
		}
		if err := w.run(2000); err != nil {
			t.Fatal(err)
		}
	}
}

func formatAll(actions []Action) []string {
	out := make([]string, len(actions))
	for i, a := range actions {
		out[i] = script.Format(a)
	}
	return out
}

func TestOnlyUnexpectedExitsCountAsRestarts(t *testing.T) {
	p := &checkedPlayer{t: t, c: newChecker()}
	p.do("boot min=3", "up", "exited id=1 code=2", "exited id=2 signal=9")
	if n := p.c.m.Restarts(); n != 2 {
		t.Errorf("%d restarts after two crashes", n)
	}
	p.do("drain", "drained id=3", "exited id=3")
	if n := p.c.m.Restarts(); n != 2 {
		t.Errorf("%d restarts after two crashes and a drain", n)
	}
}

func TestStatesHaveNames(t *testing.T) {
	for s := Booting; s <= Stopped; s++ {
		if strings.Contains(s.String(), "(") {
			t.Errorf("state %d has no name", s)
		}
	}
	for s := WorkerStarting; s <= WorkerGone; s++ {
		if strings.Contains(s.String(), "(") {
			t.Errorf("worker state %d has no name", s)
		}
	}
	if got := State(99).String(); got != "state(99)" {
		t.Errorf("an unknown state is %q", got)
	}
	if got := WorkerState(99).String(); got != "worker state(99)" {
		t.Errorf("an unknown worker state is %q", got)
	}
}

func BenchmarkStepSample(b *testing.B) {
	m := New()
	var now time.Duration
	step := func(ev Event) {
		now += time.Millisecond
		m.Step(now, ev)
	}
	step(Boot{Config: Config{Min: 16}})
	var s Sampled
	for id := ID(1); id <= 16; id++ {
		step(Spawned{id, 1})
		step(Ready{id})
		s.Samples = append(s.Samples, Sample{ID: id})
	}
	b.ReportAllocs()
	for b.Loop() {
		step(s)
		m.Wake()
	}
}

// BenchmarkStepOneShot is a worker's whole life in mode forking.
func BenchmarkStepOneShot(b *testing.B) {
	m := New()
	var now time.Duration
	step := func(ev Event) {
		now += time.Millisecond
		m.Step(now, ev)
		m.Wake()
	}
	step(Boot{Config: Config{OneShot: true, MinSpare: 8, Max: 40}})
	for id := ID(1); id <= 8; id++ {
		step(Spawned{id, 1})
		step(Ready{id})
	}
	b.ReportAllocs()
	id := ID(1)
	for b.Loop() {
		step(Busy{ID: id})
		step(Spawned{id + 8, 1})
		step(Ready{id + 8})
		step(Exited{ID: id})
		id++
	}
}

// If a signal kills every starting worker, the boot fails.
func TestSignalDeathsBeforeReadyAreLimited(t *testing.T) {
	m := New()
	m.Step(0, Boot{Config: Config{Min: 1, BootTries: 1}})
	deaths := 0
	for m.State() == Booting && deaths < 100 {
		deaths++
		id := m.lastID
		m.Step(0, Spawned{ID: id, PID: 1})
		m.Step(0, Exited{ID: id, Signal: 15})
	}
	if want := mostStrays + 2 + 1; deaths != want {
		t.Errorf("the boot failed after %d deaths, want %d", deaths, want)
	}
}
