package policy

import (
	"fmt"
	"slices"
	"time"
)

// allowed lists the states that may follow each in one step.
var allowed = map[State][]State{
	Booting:   {Booting, Running, Reloading, Draining, Killing, Stopped},
	Running:   {Running, Reloading, Draining, Killing, Stopped},
	Reloading: {Reloading, Running, Probation, Draining, Killing, Stopped},
	Probation: {Probation, Running, Reloading, Draining, Killing, Stopped},
	Draining:  {Draining, Killing, Stopped},
	Killing:   {Killing, Stopped},
	Stopped:   {Stopped},
}

// after checks the state after a step.
func (c *checker) after(now time.Duration) error {
	m := c.m
	state := m.State()
	if !slices.Contains(allowed[c.state], state) {
		return fmt.Errorf("%s must not follow %s", state, c.state)
	}
	at, ok := m.Wake()
	if ok && at <= now {
		return fmt.Errorf("wants to wake at %s, which is not after %s", at, now)
	}
	if (state == Stopped) != (c.exit != nil) {
		return fmt.Errorf("stopped without exit, or the other way round")
	}
	if err := c.books(); err != nil {
		return err
	}
	if c.wild {
		return nil
	}
	if err := c.unanswered(now); err != nil {
		return err
	}
	switch state {
	case Running, Draining, Killing, Stopped:
		if c.waiting+c.covered > 0 {
			return fmt.Errorf("%d requests for a reload have no answer", c.waiting+c.covered)
		}
	}
	if limit, has := c.mustWakeBy(); has && (!ok || at > limit) {
		return fmt.Errorf("must wake by %s, wants to at %s, %v", limit, at, ok)
	}
	for _, w := range c.workers {
		if w.gen < c.committed && w.accepting && !w.held && !c.quiesced[w.gen] {
			return fmt.Errorf("worker %d still accepts beside generation %d", w.id, c.committed)
		}
	}
	for _, w := range c.workers {
		if w.closed > 0 && now >= w.closed+exitTime && w.accepting {
			return fmt.Errorf("worker %d has closed its channel at %s and still serves", w.id, w.closed)
		}
	}
	for _, w := range c.workers {
		if state == Draining && w.accepting && !w.lame {
			return fmt.Errorf("worker %d does not know that the server ends", w.id)
		}
	}
	if next := m.NextGeneration(); next != c.highest+1 {
		return fmt.Errorf("next generation is %d, want %d", next, c.highest+1)
	}
	if m.booted && m.serving != nil && m.Generation() != c.committed {
		return fmt.Errorf("serves generation %d, committed was %d", m.Generation(), c.committed)
	}
	return c.inside()
}

// mustWakeBy returns when the state must end by itself, if it must.
func (c *checker) mustWakeBy() (time.Duration, bool) {
	switch {
	case c.m.state == Probation:
		return c.m.probation, true
	case c.m.lameDuck:
		return c.m.lameUntil, true
	case c.m.state == Draining:
		return c.m.killAt, true
	}
	return 0, false
}

// books checks that the machine's workers match the shadows.
func (c *checker) books() error {
	views := c.m.Workers()
	if len(views) != len(c.workers) {
		return fmt.Errorf("has %d workers, should have %d", len(views), len(c.workers))
	}
	for i, v := range views {
		if i > 0 && views[i-1].Slot >= v.Slot {
			return fmt.Errorf("slot %d twice, or not sorted", v.Slot)
		}
		w := c.workers[v.ID]
		if w == nil || w.slot != v.Slot || w.gen != v.Generation {
			return fmt.Errorf("worker %d has another slot or generation than its spawn", v.ID)
		}
		if c.wild {
			continue
		}
		serving := v.State == WorkerReady || v.State == WorkerBusy && !w.busy
		if serving && v.Generation == c.committed && !w.accepting && c.listening[v.Generation] {
			return fmt.Errorf("worker %d of the serving generation does not accept", v.ID)
		}
	}
	return nil
}

// inside checks promises about the machine's own state.
func (c *checker) inside() error {
	m := c.m
	full := !slices.Contains(m.slots, 0)
	for _, g := range m.generations {
		if m.maintained(g) && m.state != Killing && m.state != Stopped {
			missing := min(g.missing()-len(g.pending), g.room())
			if missing > 0 && !full {
				return fmt.Errorf("generation %d lacks %d workers and does nothing", g.number, missing)
			}
		}
		if g.config.OneShot && len(g.members) > g.max {
			return fmt.Errorf("generation %d has %d processes, at most %d are allowed", g.number, len(g.members), g.max)
		}
		for _, w := range g.members {
			going := w.state == WorkerDraining || w.state == WorkerExiting
			if (going || w.state == WorkerStarting) && w.spawned && !w.killed && w.dueFor == noDue {
				return fmt.Errorf("worker %d is %s and has no deadline", w.id, w.state)
			}
			if m.leaving(g) && w.serves() {
				return fmt.Errorf("worker %d serves in a generation that leaves", w.id)
			}
		}
	}
	if m.state == Probation && m.held == nil || m.state != Probation && m.held != nil && !m.lameDuck {
		return fmt.Errorf("a generation is held in state %s", m.state)
	}
	if (m.coming != nil) && m.state != Reloading {
		return fmt.Errorf("a generation is coming in state %s", m.state)
	}
	return nil
}
