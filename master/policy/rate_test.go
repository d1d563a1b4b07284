package policy

import (
	"container/heap"
	"testing"
	"time"
)

// TestCrashLoopsHaveABoundedRateOfStarts makes every worker of a running pool
// die in the same way for an hour, and counts the spawns of each minute.
func TestCrashLoopsHaveABoundedRateOfStarts(t *testing.T) {
	pools := map[string]Config{
		"static":   {Min: 4},
		"dynamic":  {Min: 2, Max: 8, MinSpare: 2},
		"one-shot": {OneShot: true, MinSpare: 3, Max: 8},
	}
	// Each function returns the next event of a worker and the time until then.
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
		"leaves and stays": func(id ID, after Event) (Event, time.Duration) {
			switch after.(type) {
			case Ready:
				return Leaving{id}, 1100 * time.Millisecond
			case Leaving:
				return Exited{ID: id, Signal: 9}, 32 * time.Second
			}
			return dieAfter(id, after, 0)
		},
		"is terminated and stays": func(id ID, after Event) (Event, time.Duration) {
			switch after.(type) {
			case Ready:
				return Terminated{id}, 1100 * time.Millisecond
			case Terminated:
				return Exited{ID: id, Signal: 9}, 32 * time.Second
			}
			return dieAfter(id, after, 0)
		},
		"says busy without a connection": func(id ID, after Event) (Event, time.Duration) {
			switch after.(type) {
			case Ready:
				return Busy{ID: id, Idle: true}, time.Millisecond
			case Busy:
				return Exited{ID: id}, time.Millisecond
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
				// Each place is filled at most every 4 s, the maximal backoff minus its
				// jitter. The first minutes may also spend the budget.
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

// crashWorld is a world in which workers only die after the boot.
type crashWorld struct {
	t         *testing.T
	w         *world
	death     func(ID, Event) (Event, time.Duration)
	perMinute []int
}

// spawnsPerMinute plays an hour.
func spawnsPerMinute(t *testing.T, config Config, death func(ID, Event) (Event, time.Duration)) []int {
	d := &crashWorld{t: t, w: &world{c: newChecker()}, death: death, perMinute: make([]int, 60)}
	w := d.w
	d.step(Boot{Config: config})
	for nextSample := time.Second; w.now < time.Hour; {
		wake, ok := w.c.m.Wake()
		switch {
		case len(w.queue) > 0 && w.queue[0].at < nextSample && !(ok && wake <= w.queue[0].at):
			h := heap.Pop(&w.queue).(plannedEvent)
			w.now = h.at
			h.do()
			d.step(h.event)
		case ok && wake < nextSample:
			w.now = wake
			d.step(Tick{})
		default:
			w.now = nextSample
			nextSample += time.Second
			d.step(d.everyoneBusy())
		}
	}
	if state := w.c.m.State(); state != Running {
		t.Fatalf("is %s, want running", state)
	}
	return d.perMinute
}

func (d *crashWorld) step(ev Event) {
	actions, err := d.w.c.step(d.w.now, ev)
	if err != nil {
		d.t.Fatalf("%v\n%s", err, d.w.c.report())
	}
	for _, a := range actions {
		if s, ok := a.(Spawn); ok {
			d.perMinute[min(59, int(d.w.now/time.Minute))]++
			d.live(s.ID, nil)
		}
		if a, ok := a.(Listen); ok {
			d.step(Listening{Generation: a.Generation})
		}
	}
}

// live plans the next event of a worker. A worker that starts during the boot
// lives for a minute.
func (d *crashWorld) live(id ID, after Event) {
	next, in := d.death(id, after)
	if d.w.c.m.State() == Booting {
		next, in = dieAfter(id, after, time.Minute)
	}
	d.w.plan(in, nil, next, func() {
		switch next.(type) {
		case Exited, SpawnFailed:
		default:
			d.live(id, next)
		}
	})
}

func (d *crashWorld) everyoneBusy() Sampled {
	var s Sampled
	for _, v := range d.w.c.m.Workers() {
		s.Samples = append(s.Samples, Sample{ID: v.ID, Active: 1})
	}
	return s
}
