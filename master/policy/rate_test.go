package policy

import (
	"testing"
	"time"
)

// TestCrashLoopsNeverSpin lets every worker of a booted pool die in the same
// way for an hour, and counts the spawns of each minute.
func TestCrashLoopsNeverSpin(t *testing.T) {
	pools := map[string]Config{
		"static":   {Min: 4},
		"dynamic":  {Min: 2, Max: 8, MinSpare: 2},
		"one-shot": {OneShot: true, MinSpare: 3, Max: 8},
	}
	// Each returns what comes after the given event of a worker's life and how
	// long after, until it is gone.
	deaths := map[string]func(id ID, after Event) (Event, time.Duration){
		"cannot be spawned": func(id ID, after Event) (Event, time.Duration) {
			return SpawnFailed{id, "no"}, 1
		},
		"dies before ready": func(id ID, after Event) (Event, time.Duration) {
			if after == nil {
				return Spawned{id, 1}, 1
			}
			return Exited{ID: id, Code: 1}, time.Millisecond
		},
		"dies once ready":                func(id ID, after Event) (Event, time.Duration) { return dieAfter(id, after, 0) },
		"dies after the fast-death time": func(id ID, after Event) (Event, time.Duration) { return dieAfter(id, after, 1001*time.Millisecond) },
		"leaves once ready": func(id ID, after Event) (Event, time.Duration) {
			if _, ok := after.(Ready); ok {
				return Drained{id}, time.Millisecond
			}
			return dieAfter(id, after, 0)
		},
		"is unfit once ready": func(id ID, after Event) (Event, time.Duration) {
			if _, ok := after.(Ready); ok {
				return Unfit{id, "no"}, time.Millisecond
			}
			return dieAfter(id, after, 0)
		},
	}
	for poolName, config := range pools {
		for deathName, death := range deaths {
			t.Run(poolName+"/"+deathName, func(t *testing.T) {
				perMinute := spawnsPerMinute(t, config, death)
				// A place is filled at most every 4 s, which is the cap less its jitter; the
				// first minutes may spend the budget besides.
				steady, budget := 8*60/4, 2*64
				for minute, n := range perMinute {
					bound := steady
					if minute < 3 {
						bound += budget
					}
					if n > bound {
						t.Errorf("minute %d: %d spawns, at most %d are expected", minute, n, bound)
					}
				}
				if last := perMinute[len(perMinute)-1]; last == 0 {
					t.Errorf("gave up: %v", perMinute)
				}
				t.Log(perMinute)
			})
		}
	}
}

func dieAfter(id ID, after Event, life time.Duration) (Event, time.Duration) {
	switch after.(type) {
	case nil:
		return Spawned{id, 1}, 1
	case Spawned:
		return Ready{id}, time.Millisecond
	}
	return Exited{ID: id, Code: 1}, life + 1
}

// spawnsPerMinute plays an hour with nothing but deaths.
func spawnsPerMinute(t *testing.T, config Config, death func(ID, Event) (Event, time.Duration)) []int {
	w := &world{c: newChecker(), procs: map[ID]*proc{}, config: config}
	healthy := true
	perMinute := make([]int, 60)
	var handle func(actions []Action)
	var live func(id ID, after Event)
	live = func(id ID, after Event) {
		next, in := death(id, after)
		if healthy {
			if _, gone := after.(Ready); gone {
				next, in = Exited{ID: id, Code: 1}, time.Minute
			} else {
				next, in = dieAfter(id, after, 0)
			}
		}
		w.plan(in, nil, next, func() {
			if _, gone := next.(Exited); !gone {
				if _, gone := next.(SpawnFailed); !gone {
					live(id, next)
				}
			}
		})
	}
	handle = func(actions []Action) {
		for _, a := range actions {
			if s, ok := a.(Spawn); ok {
				perMinute[min(59, int(w.now/time.Minute))]++
				live(s.ID, nil)
			}
		}
	}
	step := func(ev Event) {
		actions, err := w.c.step(w.now, ev)
		if err != nil {
			t.Fatalf("%v\n%s", err, w.c.report())
		}
		handle(actions)
	}
	step(Boot{Config: config})
	nextSample := time.Second
	for w.now < time.Hour {
		at, ev := nextSample, Event(nil)
		wake, ok := w.c.m.Wake()
		if ok && wake < at {
			at, ev = wake, Tick{}
		}
		if len(w.queue) > 0 && w.queue[0].at < at {
			h := w.popNext()
			w.now = h.at
			if h.do != nil {
				h.do()
			}
			step(h.event)
			healthy = healthy && w.c.m.State() == Booting
			continue
		}
		w.now = at
		if ev != nil {
			step(ev)
			continue
		}
		nextSample += time.Second
		var s Sampled
		for _, v := range w.c.m.Workers() {
			s.Samples = append(s.Samples, Sample{ID: v.ID, Active: 1})
		}
		step(s)
	}
	if state := w.c.m.State(); state != Running {
		t.Fatalf("is %s, want running", state)
	}
	return perMinute
}
