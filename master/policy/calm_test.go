package policy

import (
	"testing"
	"time"
)

// calmWorld is a running server whose owner loop sleeps until the next sample or
// deadline.
type calmWorld struct {
	t        *testing.T
	m        *Machine
	now      time.Duration
	sampleAt time.Duration
	wakeUps  int
	silent   map[ID]time.Duration // since when
}

func newCalmWorld(t *testing.T, c Config) *calmWorld {
	w := &calmWorld{t: t, m: New(), silent: map[ID]time.Duration{}}
	w.step(Boot{Config: c})
	return w
}

// step feeds an event, and what a faultless world answers.
func (w *calmWorld) step(ev Event) (actions []Action) {
	actions = w.m.Step(w.now, ev)
	for _, a := range actions {
		switch a := a.(type) {
		case Spawn:
			w.step(Spawned{ID: a.ID, PID: int(a.ID)})
			w.step(Ready{ID: a.ID})
		case Listen:
			w.step(Listening{Generation: a.Generation})
		}
	}
	w.sampleAt = min(w.sampleAt, w.now+w.m.SampleAfter())
	return actions
}

// sleep lets the owner loop sleep once, and returns what it did then.
func (w *calmWorld) sleep() []Action {
	w.wakeUps++
	if at, ok := w.m.Wake(); ok && at < w.sampleAt {
		w.now = at
		return w.step(Tick{})
	}
	w.now = max(w.now, w.sampleAt)
	w.sampleAt = w.now + w.m.SampleAfter()
	return w.step(w.sampled())
}

func (w *calmWorld) sampled() Sampled {
	var ev Sampled
	for _, v := range w.m.Workers() {
		s := Sample{ID: v.ID, Beaten: true}
		if since, silent := w.silent[v.ID]; silent {
			s.Beaten, s.Silent = false, w.now-since
		}
		ev.Samples = append(ev.Samples, s)
	}
	return ev
}

// becomeCalm sleeps until the server is calm.
func (w *calmWorld) becomeCalm() {
	w.t.Helper()
	for range calmSamples + 2 {
		if w.m.Calm() {
			return
		}
		w.sleep()
	}
	w.t.Fatalf("not calm after %d wake-ups: %v, next sample after %v", w.wakeUps, w.m.State(), w.m.SampleAfter())
}

func TestAnIdleServerWakesItsMasterSixTimesAMinute(t *testing.T) {
	for name, c := range map[string]Config{
		"one worker": {Min: 1}, "four": {Min: 4}, "dynamic": {Min: 2, Max: 8}, "one-shot": {OneShot: true, MinSpare: 4},
	} {
		w := newCalmWorld(t, c)
		w.becomeCalm()
		w.wakeUps = 0
		for begun := w.now; w.now < begun+10*time.Minute; {
			w.sleep()
		}
		if w.wakeUps > 61 {
			t.Errorf("%s: %d wake-ups in ten minutes, want 61 at most", name, w.wakeUps)
		}
	}
}

// A worker that hangs while samples are rare has the same time as any other.
func TestASilentWorkerOfACalmServerIsHungInTime(t *testing.T) {
	for _, timeout := range []time.Duration{2 * time.Second, 5 * time.Second, 30 * time.Second, 10 * time.Minute} {
		w := newCalmWorld(t, Config{Min: 2, WorkerTimeout: timeout})
		w.becomeCalm()
		w.sleep()
		since := w.now
		w.silent[1] = since
		for hung := false; !hung; {
			for _, a := range w.sleep() {
				_, dumped := a.(Dump)
				hung = hung || dumped
			}
			if late := w.now - since; late > timeout+2*time.Second {
				t.Fatalf("timeout %v: not hung after %v", timeout, late)
			} else if hung && late <= timeout {
				t.Errorf("timeout %v: hung after %v", timeout, late)
			}
		}
	}
}

// A reload that shortens the timeout counts for the next worker that hangs, and all
// workers may hang at once.
func TestAReloadOfACalmServerChangesTheWorkerTimeout(t *testing.T) {
	const timeout = 3 * time.Second
	w := newCalmWorld(t, Config{Min: 2, WorkerTimeout: 10 * time.Minute})
	w.becomeCalm()
	w.step(Reload{})
	w.step(Loaded{Config: Config{Min: 2, WorkerTimeout: timeout, Probation: -1}})
	for _, v := range w.m.Workers() {
		if v.Generation == 1 {
			w.step(Exited{ID: v.ID})
		}
	}
	w.becomeCalm()
	w.sleep()
	since := w.now
	for _, v := range w.m.Workers() {
		w.silent[v.ID] = since
	}
	for dumped := 0; dumped < 2; {
		for _, a := range w.sleep() {
			if _, dump := a.(Dump); dump {
				dumped++
			}
		}
		if late := w.now - since; late > timeout+2*time.Second {
			t.Fatalf("%d workers hung after %v", dumped, late)
		}
	}
}

func TestAnythingThatHappensEndsTheCalm(t *testing.T) {
	sampled := func(change func(*Sample)) func(*calmWorld) Event {
		return func(w *calmWorld) Event {
			ev := w.sampled()
			change(&ev.Samples[0])
			return ev
		}
	}
	event := func(ev Event) func(*calmWorld) Event { return func(*calmWorld) Event { return ev } }
	for name, happens := range map[string]func(*calmWorld) Event{
		"a connection":          event(Accepted{1}),
		"a reload":              event(Reload{}),
		"a scale":               event(Scale{By: 1}),
		"a crash":               event(Exited{ID: 1, Signal: 9}),
		"a worker that leaves":  event(Leaving{1}),
		"counters that changed": sampled(func(s *Sample) { s.Worked = true }),
		"no heartbeat":          sampled(func(s *Sample) { s.Beaten = false }),
		"a suspended worker":    sampled(func(s *Sample) { s.Suspended = true }),
		"a full worker":         sampled(func(s *Sample) { s.Full = true }),
		"a full channel":        sampled(func(s *Sample) { s.Stuck = 1 }),
		"a missing worker":      event(Sampled{Samples: []Sample{{ID: 1, Beaten: true}}}),
		"a waiting client":      func(w *calmWorld) Event { ev := w.sampled(); ev.Waiting = true; return ev },
	} {
		w := newCalmWorld(t, Config{Min: 2})
		w.becomeCalm()
		if got := w.m.SampleAfter(); got != 10*time.Second {
			t.Fatalf("calm: a sample after %v, want 10 s", got)
		}
		w.step(happens(w))
		if w.m.Calm() || w.m.SampleAfter() != time.Second {
			t.Errorf("%s: still calm, next sample after %v", name, w.m.SampleAfter())
		}
	}
}

func TestAServerThatChangesIsNotCalm(t *testing.T) {
	for name, begin := range map[string]func(*calmWorld){
		"a reload that is loading":  func(w *calmWorld) { w.step(Reload{}) },
		"a probation":               func(w *calmWorld) { w.step(Reload{}); w.step(Loaded{Config: Config{Min: 2, Probation: time.Hour}}) },
		"an old generation drains":  func(w *calmWorld) { w.step(Reload{}); w.step(Loaded{Config: Config{Min: 2, Probation: -1}}) },
		"a worker that is replaced": func(w *calmWorld) { w.step(Recycle{ID: 1}) },
		"a replacement that waits":  func(w *calmWorld) { w.step(Exited{ID: 1, Signal: 9}) },
		"a hung worker":             func(w *calmWorld) { w.silent[1] = 0; w.now = time.Minute },
		"a server that drains":      func(w *calmWorld) { w.step(Drain{}) },
	} {
		w := newCalmWorld(t, Config{Min: 2, BackoffBase: time.Hour, BackoffCap: time.Hour, LameDuck: time.Hour, DrainTimeout: time.Hour})
		begin(w)
		for range 2 * calmSamples {
			w.sampleAt = w.now + w.m.SampleAfter()
			w.now = w.sampleAt
			w.m.Step(w.now, w.sampled())
		}
		if w.m.Calm() {
			t.Errorf("%s: calm in state %v", name, w.m.State())
		}
	}
}
