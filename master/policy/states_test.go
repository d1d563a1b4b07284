package policy

import (
	"fmt"
	"testing"
	"time"

	"prefork/internal/script"
)

// situation is a state of a machine, with a function that brings it about.
type situation struct {
	name  string
	state State
	bring func(p *checkedPlayer)
}

// checkedPlayer plays script lines on a checker.
type checkedPlayer struct {
	t   testing.TB
	c   *checker
	now time.Duration
}

func (p *checkedPlayer) do(lines ...string) {
	p.t.Helper()
	for _, line := range lines {
		switch line {
		case "up":
			for _, w := range p.c.m.Workers() {
				if w.State == WorkerStarting {
					if w.PID == 0 {
						p.step(Spawned{ID: w.ID, PID: 100 + int(w.ID)})
					}
					p.listen(p.step(Ready{ID: w.ID}))
				}
			}
		case "later": // long enough to be hung, if silent
			p.now += 5 * time.Second
			p.step(Tick{})
		case "wake":
			at, ok := p.c.m.Wake()
			if !ok {
				p.t.Fatalf("nothing to wake for\n%s", p.c.report())
			}
			p.now = at
			p.step(Tick{})
		default:
			ev, err := parseEvent(line)
			if err != nil {
				p.t.Fatal(err)
			}
			p.step(ev)
		}
	}
}

// listen answers Listen.
func (p *checkedPlayer) listen(actions []Action) {
	for _, a := range actions {
		if a, ok := a.(Listen); ok {
			p.step(Listening{Generation: a.Generation})
		}
	}
}

func (p *checkedPlayer) step(ev Event) []Action {
	p.t.Helper()
	p.now += time.Millisecond
	actions, err := p.c.step(p.now, ev)
	if err != nil {
		p.t.Fatalf("%v\n%s", err, p.c.report())
	}
	return actions
}

var situations = []situation{
	{"new", Booting, func(*checkedPlayer) {}},
	{"booting", Booting, func(p *checkedPlayer) { p.do("boot min=2", "spawned id=1 pid=1") }},
	{"booting, last try", Booting, func(p *checkedPlayer) { p.do("boot min=1 boot-tries=1") }},
	{"booting, last worker", Booting, func(p *checkedPlayer) { p.do("boot min=1", "spawned id=1 pid=1") }},
	{"booting, to listen", Booting, func(p *checkedPlayer) { p.do("boot min=1", "spawned id=1 pid=1", "ready id=1") }},
	{"booting, listens", Booting, func(p *checkedPlayer) {
		p.do("boot min=2", "spawned id=1 pid=1", "ready id=1", "listening generation=1", "spawned id=2 pid=2")
	}},
	{"booting, one failed", Booting, func(p *checkedPlayer) {
		p.do("boot min=2", "spawned id=1 pid=1", "spawned id=2 pid=2", "failed id=1 code=1 err=\"no\"", "ready id=2")
	}},
	{"running", Running, func(p *checkedPlayer) { p.do("boot min=2", "up") }},
	{"running, dynamic", Running, func(p *checkedPlayer) { p.do("boot min=1 max=4", "up") }},
	{"running, one-shot", Running, func(p *checkedPlayer) { p.do("boot one-shot min-spare=2 max=4", "up", "busy id=1") }},
	{"running, recycling", Running, func(p *checkedPlayer) { p.do("boot min=2", "up", "recycle id=1") }},
	{"running, crashed", Running, func(p *checkedPlayer) { p.do("boot min=2", "up", "exited id=1 code=2") }},
	{"running, old drains", Running, func(p *checkedPlayer) { p.do("boot min=2", "up", "reload", "loaded min=2", "up", "wake") }},
	{"loading", Reloading, func(p *checkedPlayer) { p.do("boot min=2", "up", "reload") }},
	{"reloading", Reloading, func(p *checkedPlayer) {
		p.do("boot min=2", "up", "reload", "loaded min=2", "spawned id=3 pid=3", "ready id=3")
	}},
	{"reloading, later", Reloading, func(p *checkedPlayer) {
		p.do("boot min=2", "up", "reload", "loaded min=2 worker-timeout=2s", "spawned id=3 pid=3", "ready id=3", "later")
	}},
	{"reloading, last worker", Reloading, func(p *checkedPlayer) {
		p.do("boot min=1", "up", "reload", "loaded min=1", "spawned id=2 pid=2")
	}},
	{"reloading, to listen", Reloading, func(p *checkedPlayer) {
		p.do("boot min=1", "up", "reload", "loaded min=1", "spawned id=2 pid=2", "ready id=2")
	}},
	{"reloading, listens", Reloading, func(p *checkedPlayer) {
		p.do("boot min=1", "up", "reload", "loaded min=1", "spawned id=2 pid=2", "ready id=2", "scale to=2", "listening generation=2", "spawned id=3 pid=3")
	}},
	{"probation", Probation, func(p *checkedPlayer) { p.do("boot min=2", "up", "reload", "loaded min=2", "up") }},
	{"probation, later", Probation, func(p *checkedPlayer) {
		p.do("boot min=2", "up", "reload", "loaded min=2 worker-timeout=2s probation=1m", "up", "later")
	}},
	{"running, hung", Running, func(p *checkedPlayer) {
		p.do("boot min=2 worker-timeout=2s", "up", "later", "sampled id=1 silent=5s")
	}},
	{"probation, one-shot", Probation, func(p *checkedPlayer) {
		p.do("boot one-shot min-spare=2 max=4", "up", "reload", "loaded one-shot min-spare=2 max=4", "up", "busy id=3")
	}},
	{"lame duck", Draining, func(p *checkedPlayer) { p.do("boot min=2 lame-duck=5s", "up", "drain") }},
	{"lame duck, probation", Draining, func(p *checkedPlayer) {
		p.do("boot min=2", "up", "reload", "loaded min=2 lame-duck=5s", "up", "drain")
	}},
	{"draining", Draining, func(p *checkedPlayer) { p.do("boot min=2", "up", "drain") }},
	{"draining, last worker", Draining, func(p *checkedPlayer) { p.do("boot min=1", "up", "drain") }},
	{"draining, one-shot", Draining, func(p *checkedPlayer) { p.do("boot one-shot min-spare=2 max=4", "up", "drain") }},
	{"killing", Killing, func(p *checkedPlayer) { p.do("boot min=2", "up", "stop") }},
	{"killing, last worker", Killing, func(p *checkedPlayer) { p.do("boot min=1", "up", "stop") }},
	{"stopped", Stopped, func(p *checkedPlayer) { p.do("boot min=1", "up", "stop", "exited id=1") }},
}

// everyEvent has each event for a worker of the first generation, for one of the
// second, and for one that does not exist.
func everyEvent() []Event {
	events := []Event{
		Boot{}, Boot{Config: Config{Min: 3}}, Boot{Config: Config{Min: 2, Max: 1}}, Sampled{}, Reload{}, Reload{Request: 1}, Cancel{Request: 1}, Loaded{}, Loaded{Err: "no"}, Loaded{Config: Config{Min: 2, Max: 1}},
		Listening{Generation: 1}, Listening{1, "no"}, Listening{Generation: 2}, Listening{2, "no"}, Listening{Generation: 9},
		Loaded{Config: Config{OneShot: true, MinSpare: 3}}, Loaded{Config: Config{Min: 1, Max: 9}},
		Scale{By: 1}, Scale{By: -1}, Scale{To: 3}, Scale{By: -1 << 62}, Scale{To: 1 << 62},
		Drain{}, Drain{Request: 1}, Interrupt{}, Stop{}, Stop{Request: 1}, Scale{To: 2, Request: 1}, Scale{To: 1 << 40, Request: 1}, Tick{}, nil,
	}
	for _, id := range []ID{1, 2, 3, 4, 0, 99} {
		events = append(events,
			Spawned{id, 7}, SpawnFailed{id, "no"}, Ready{id}, Failed{id, 1, "no"}, Failed{id, 78, "no"}, Busy{ID: id}, Accepted{id}, Drained{id}, Leaving{id}, Terminated{id},
			Unfit{id, "no"}, Closed{id}, Exited{id, 0, 0, 0}, Exited{id, 1, 0, 0}, Exited{id, 78, 0, 0}, Exited{id, 0, 11, 0}, Recycle{ID: id}, Recycle{ID: id, Now: true, Request: 1},
			Sampled{[]Sample{{ID: id, Active: 3, Served: 9, RSS: 1, Full: true}}, true}, Sampled{Samples: []Sample{{ID: id, Silent: time.Hour}}},
			Sampled{Samples: []Sample{{ID: id, Silent: time.Hour, Suspended: true}}})
	}
	return events
}

// next lists the allowed next states by situation and event. Without an entry,
// the state must not change.
var next = map[State]map[string][]State{
	Booting: {
		"boot": {Stopped}, "ready": {Running}, "failed": {Killing}, "exited": {Killing, Stopped}, "spawn-failed": {Stopped},
		"drain": {Draining, Killing, Stopped}, "interrupt": {Draining, Killing, Stopped}, "stop": {Killing, Stopped}, "scale": {Running},
		"listening": {Running, Killing},
	},
	Running: {"reload": {Reloading}, "drain": {Draining}, "interrupt": {Draining}, "stop": {Killing}},
	Reloading: {
		"loaded": {Running}, "failed": {Running}, "exited": {Running}, "spawn-failed": {Running}, "unfit": {Running},
		"sampled": {Running}, "ready": {Probation}, "scale": {Probation}, "listening": {Probation, Running},
		"drain": {Draining}, "interrupt": {Draining}, "stop": {Killing},
	},
	Probation: {
		"exited": {Running}, "unfit": {Running}, "failed": {Running}, "sampled": {Running},
		"drain": {Draining}, "interrupt": {Draining}, "stop": {Killing},
	},
	Draining: {"drain": {Killing}, "interrupt": {Killing}, "stop": {Killing}, "exited": {Stopped}},
	Killing:  {"exited": {Stopped}},
	Stopped:  {},
}

func TestEveryEventInEveryStateLeadsToAnAllowedState(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range situations {
		for _, ev := range everyEvent() {
			name := fmt.Sprintf("%s/%s", s.name, script.Format(ev))
			p := &checkedPlayer{t: t, c: newChecker()}
			s.bring(p)
			if got := p.c.m.State(); got != s.state {
				t.Fatalf("%s: is %s, want %s\n%s", s.name, got, s.state, p.c.report())
			}
			p.c.wild = p.c.breaksContract(ev)
			p.now += time.Millisecond
			if _, err := p.c.step(p.now, ev); err != nil {
				t.Errorf("%s: %v\n%s", name, err, p.c.report())
				continue
			}
			after := p.c.m.State()
			if after != s.state {
				seen[fmt.Sprintf("%s %s %s", s.state, script.Name(ev), after)] = true
			}
			if after != s.state && !contains(next[s.state][script.Name(ev)], after) {
				t.Errorf("%s: leads to %s", name, after)
			}
			p.finish(name)
		}
	}
	for state, events := range next {
		for ev, afters := range events {
			for _, after := range afters {
				if key := fmt.Sprintf("%s %s %s", state, ev, after); !seen[key] {
					t.Errorf("the table allows what never happens: %s", key)
				}
			}
		}
	}
}

func contains(states []State, s State) bool {
	for _, o := range states {
		if o == s {
			return true
		}
	}
	return false
}

// breaksContract reports whether the master must not send ev now.
func (c *checker) breaksContract(ev Event) bool {
	switch ev := ev.(type) {
	case Spawned:
		return c.workers[ev.ID] != nil && c.workers[ev.ID].spawned
	case SpawnFailed:
		return c.workers[ev.ID] != nil && c.workers[ev.ID].spawned
	case Ready:
		return c.needs(ev.ID, true)
	case Failed:
		return c.needs(ev.ID, true)
	case Drained:
		return c.needs(ev.ID, false)
	case Leaving:
		return c.needs(ev.ID, false)
	case Terminated:
		return c.needs(ev.ID, false)
	case Unfit:
		return c.needs(ev.ID, false)
	case Closed:
		return c.needs(ev.ID, false)
	case Exited:
		return c.needs(ev.ID, false)
	case Busy:
		w := c.workers[ev.ID]
		return w != nil && (!w.accepting && !w.busy || !c.oneShot(ev.ID))
	case Loaded:
		return !c.loading
	case Listening:
		return !c.asked[ev.Generation]
	}
	return false
}

func (c *checker) oneShot(id ID) bool {
	w := c.m.workers[id]
	return w != nil && w.gen.config.OneShot
}

// needs reports whether the worker exists but is not spawned, is dying, or is
// ready although an event needs a fresh one.
func (c *checker) needs(id ID, fresh bool) bool {
	w := c.workers[id]
	return w != nil && (!w.spawned || fresh && w.ready || w.dying)
}

// finish stops the machine and checks that it ends after a second signal and the
// exit of every worker.
func (p *checkedPlayer) finish(name string) {
	p.c.wild = true
	for range 10_000 {
		if p.c.m.State() == Stopped {
			return
		}
		p.now += time.Millisecond
		var ev Event = Stop{}
		for _, w := range p.c.m.Workers() {
			ev = Exited{ID: w.ID}
			if w.PID == 0 {
				ev = Spawned{ID: w.ID, PID: 1}
			}
		}
		if p.c.m.State() != Killing && !p.c.stopping {
			ev = Stop{}
		}
		if _, err := p.c.step(p.now, ev); err != nil {
			p.t.Errorf("%s: while stopping: %v\n%s", name, err, p.c.report())
			return
		}
	}
	p.t.Errorf("%s: does not end\n%s", name, p.c.report())
}
