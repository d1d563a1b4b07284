package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// checker wraps a Machine and holds it to its promises after every step. It
// keeps its own books, made from events and actions alone, and looks into the
// machine only where a promise is about the inside.
type checker struct {
	m       *Machine
	slots   int
	workers map[ID]*shadow
	owner   map[int]ID // by slot

	lastID    ID
	committed int
	highest   int
	quiesced  map[int]bool
	retired   map[int]bool
	living    map[int]int // shadows by generation

	loading           bool // Load is not answered
	waiting, covered  int  // requests for a reload: not begun, begun
	verdicts, stopped int  // stopped counts Notify{Stopping}
	exit              *Exit
	stopAsked         time.Duration // first Drain, Interrupt or Stop
	stopping          bool
	spawns            int

	state  State // before the step at hand
	recent []record
	listen func(record) // if not nil: hears every step
	wild   bool         // the events do not keep to the contract: only the basics are checked
}

// shadow is the checker's idea of a worker.
type shadow struct {
	id                                ID
	slot, gen                         int
	spawned, ready, accepting, held   bool
	draining, stopped, killed, dumped bool
	dying                             bool // said or was found so: failed, unfit, drained
	busy                              bool
}

// record is one step, kept for the report of a failure.
type record struct {
	now     time.Duration
	event   Event
	actions []Action
	state   State
}

func newChecker() *checker {
	return &checker{
		m: New(), workers: map[ID]*shadow{}, owner: map[int]ID{},
		quiesced: map[int]bool{}, retired: map[int]bool{}, living: map[int]int{},
	}
}

// step feeds an event to the machine and returns the actions, or what was
// wrong with them.
func (c *checker) step(now time.Duration, ev Event) ([]Action, error) {
	c.state = c.m.State()
	before := c.accepting()
	c.before(now, ev)
	actions := c.m.Step(now, ev)
	if len(c.recent) >= 40 {
		c.recent = append(c.recent[:0], c.recent[1:]...)
	}
	c.recent = append(c.recent, record{now, ev, actions, c.m.State()})
	if c.listen != nil {
		c.listen(c.recent[len(c.recent)-1])
	}
	var drained, rolled bool
	for i, a := range actions {
		if _, isVerdict := a.(Verdict); c.exit != nil && !isVerdict {
			if n, ok := a.(Note); !ok || n.Level != Debug {
				return actions, fmt.Errorf("action after exit: %s", FormatAction(a))
			}
		}
		if d, ok := a.(DrainWorker); ok {
			w := c.workers[d.ID]
			drained = drained || w != nil && w.accepting && w.gen == c.committed
		}
		if k, ok := a.(Commit); ok {
			rolled = rolled || k.Generation < c.committed
		}
		if err := c.action(a, ev); err != nil {
			return actions, fmt.Errorf("action %d, %s: %w", i, FormatAction(a), err)
		}
	}
	if err := c.after(now); err != nil {
		return actions, err
	}
	if before > 0 && c.accepting() == 0 && drained && !rolled && !c.stopping {
		return actions, fmt.Errorf("the last worker that accepts was drained")
	}
	return actions, nil
}

// accepting counts the committed generation's workers that take connections.
func (c *checker) accepting() int {
	n := 0
	for _, w := range c.workers {
		if w.gen == c.committed && w.accepting && !w.held {
			n++
		}
	}
	return n
}

// before keeps the books of what the event says.
func (c *checker) before(now time.Duration, ev Event) {
	switch ev := ev.(type) {
	case Boot:
		if c.slots == 0 {
			cfg := ev.Config.WithDefaults()
			c.slots = cfg.Slots
			if len(cfg.Validate()) == 0 {
				c.committed, c.highest = 1, 1
			}
		}
	case Spawned:
		if w := c.workers[ev.ID]; w != nil {
			w.spawned = true
		}
	case SpawnFailed:
		if w := c.workers[ev.ID]; w != nil && !w.spawned {
			c.gone(w)
		}
	case Ready:
		if w := c.workers[ev.ID]; w != nil && w.spawned {
			w.ready = true
		}
	case Failed:
		c.dying(ev.ID)
	case Unfit:
		c.dying(ev.ID)
	case Drained:
		c.dying(ev.ID)
	case Busy:
		if w := c.workers[ev.ID]; w != nil {
			w.busy, w.accepting = true, false
		}
	case Exited:
		if w := c.workers[ev.ID]; w != nil && w.spawned {
			c.gone(w)
		}
	case Reload:
		c.waiting++
	case Loaded:
		c.loading = false
		if ev.Err == "" && c.committed > 0 && c.exit == nil {
			c.highest++
		}
	case Drain, Interrupt, Stop:
		if !c.stopping {
			c.stopping, c.stopAsked = true, now
		}
	}
}

func (c *checker) dying(id ID) {
	if w := c.workers[id]; w != nil && w.spawned {
		w.dying, w.accepting = true, false
	}
}

func (c *checker) gone(w *shadow) {
	delete(c.workers, w.id)
	delete(c.owner, w.slot)
	c.living[w.gen]--
}

// worker returns the shadow that an action is about.
func (c *checker) worker(id ID) (*shadow, error) {
	w := c.workers[id]
	switch {
	case w == nil:
		return nil, fmt.Errorf("no such worker")
	case !w.spawned:
		return nil, fmt.Errorf("not spawned yet")
	case w.killed:
		return nil, fmt.Errorf("killed before")
	}
	return w, nil
}

func check(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// action checks one action and keeps the books of it.
func (c *checker) action(a Action, ev Event) error {
	switch a := a.(type) {
	case Spawn:
		return c.spawn(a)
	case Accept:
		return c.accept(a)
	case DrainWorker:
		return c.drain(a)
	case StopWorker:
		w, err := c.worker(a.ID)
		if err != nil {
			return err
		}
		fine := !w.stopped
		w.stopped, w.accepting, w.held = true, false, false
		return check(fine, "stopped before")
	case Dump:
		w, err := c.worker(a.ID)
		if err != nil {
			return err
		}
		fine := !w.dumped && !w.stopped
		w.dumped, w.accepting, w.held = true, false, false
		return check(fine, "dumped or stopped before")
	case Kill:
		w, err := c.worker(a.ID)
		if err != nil {
			return err
		}
		w.killed, w.accepting, w.held = true, false, false
		return check(w.stopped || w.draining || w.dumped || w.dying || c.state == Draining, "killed out of the blue")
	case Quiesce:
		again := c.quiesced[a.Generation]
		c.quiesced[a.Generation] = true
		return check(!again && !c.retired[a.Generation] && a.Generation <= c.highest, "quiesced twice, or after it retired")
	case Commit:
		fine := !c.retired[a.Generation] && a.Generation != c.committed && a.Generation <= c.highest
		c.committed = a.Generation
		return check(fine, "cannot be committed")
	case Retire:
		fine := !c.retired[a.Generation] && c.living[a.Generation] == 0 && a.Generation != c.committed && a.Generation <= c.highest
		c.retired[a.Generation] = true
		return check(fine, "retired twice, or with %d workers, or it serves", c.living[a.Generation])
	case Load:
		fine := !c.loading
		c.loading = true
		c.covered += c.waiting
		c.waiting = 0
		return check(fine, "the last load is not answered")
	case Verdict:
		answered := c.covered
		c.covered = 0
		if answered == 0 {
			answered, c.waiting = c.waiting, 0
		}
		return check(answered > 0, "nobody waits for it")
	case Notify:
		if a.State == NotifyStopping {
			c.stopped++
		}
		return check(c.stopped <= 1, "said twice")
	case Exit:
		c.exit = &a
		return check(len(c.workers) == 0, "%d workers live", len(c.workers))
	}
	return nil
}

func (c *checker) spawn(a Spawn) error {
	c.spawns++
	switch {
	case a.ID <= c.lastID:
		return fmt.Errorf("id used before")
	case a.Slot < 0 || a.Slot >= c.slots:
		return fmt.Errorf("slot out of range")
	case c.owner[a.Slot] != 0:
		return fmt.Errorf("slot has worker %d", c.owner[a.Slot])
	case c.retired[a.Generation] || a.Generation > c.highest:
		return fmt.Errorf("generation is retired or unknown")
	}
	c.lastID = a.ID
	c.owner[a.Slot] = a.ID
	c.living[a.Generation]++
	c.workers[a.ID] = &shadow{id: a.ID, slot: a.Slot, gen: a.Generation}
	return nil
}

func (c *checker) accept(a Accept) error {
	w, err := c.worker(a.ID)
	if err != nil {
		return err
	}
	fine := w.ready && !w.draining && !w.stopped && !w.dying && (w.held || !w.accepting)
	helps := c.quiesced[w.gen] // it empties a queue
	w.held = false
	w.accepting = !w.busy
	if w.gen != c.committed && !helps {
		return fmt.Errorf("generation %d serves", c.committed)
	}
	return check(fine, "not in a state to accept")
}

func (c *checker) drain(a DrainWorker) error {
	w, err := c.worker(a.ID)
	if err != nil {
		return err
	}
	if !w.ready || w.draining || w.stopped || w.dying {
		return fmt.Errorf("not in a state to drain")
	}
	if a.Hold {
		fine := !w.held && w.gen < c.committed && a.Timeout == 0 && !a.Empty
		w.held = true
		return check(fine, "held before its successor was committed, or twice")
	}
	w.draining, w.accepting, w.held = true, false, false
	if a.Timeout <= 0 {
		return fmt.Errorf("no time to drain")
	}
	if !a.Empty {
		return nil
	}
	if !c.quiesced[w.gen] {
		return fmt.Errorf("its queue was not quiesced")
	}
	return check(w.gen != c.committed || c.stopping, "generation %d serves", c.committed)
}

// allowed lists the states that may follow each in one step.
var allowed = map[State][]State{
	Booting:   {Booting, Running, Reloading, Killing, Stopped},
	Running:   {Running, Reloading, Draining, Killing, Stopped},
	Reloading: {Reloading, Running, Probation, Draining, Killing, Stopped},
	Probation: {Probation, Running, Reloading, Draining, Killing, Stopped},
	Draining:  {Draining, Killing, Stopped},
	Killing:   {Killing, Stopped},
	Stopped:   {Stopped},
}

// after checks the state that a step has left.
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
	switch state {
	case Running, Draining, Killing, Stopped:
		if c.waiting+c.covered > 0 {
			return fmt.Errorf("%d who asked for a reload have no answer", c.waiting+c.covered)
		}
	}
	if m.booted && m.serving != nil && m.Generation() != c.committed {
		return fmt.Errorf("serves generation %d, committed was %d", m.Generation(), c.committed)
	}
	return c.inside()
}

// books compares the machine's workers with the shadows.
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
			return fmt.Errorf("worker %d is not what was spawned", v.ID)
		}
		if c.wild {
			continue
		}
		serving := v.State == WorkerReady || v.State == WorkerBusy && !w.busy
		if serving && v.Generation == c.committed && !w.accepting {
			return fmt.Errorf("worker %d of the serving generation does not accept", v.ID)
		}
	}
	return nil
}

// inside checks promises that cannot be seen from outside.
func (c *checker) inside() error {
	m := c.m
	full := !slices.Contains(m.slots, 0)
	for _, g := range m.generations {
		if m.peopled(g) && m.state != Killing && m.state != Stopped {
			missing := min(g.missing()-len(g.pending), g.room())
			if missing > 0 && !full {
				return fmt.Errorf("generation %d misses %d workers and does nothing", g.number, missing)
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
	if m.state == Probation && m.held == nil || m.state != Probation && m.held != nil && !m.lame {
		return fmt.Errorf("a generation is held in state %s", m.state)
	}
	if (m.coming != nil) && m.state != Reloading {
		return fmt.Errorf("a generation is coming in state %s", m.state)
	}
	return nil
}

// report tells the last steps.
func (c *checker) report() string {
	var b strings.Builder
	for _, r := range c.recent {
		fmt.Fprintf(&b, "@%s %s    (%s)\n", r.now, FormatEvent(r.event), r.state)
		for _, a := range r.actions {
			fmt.Fprintf(&b, "    %s\n", FormatAction(a))
		}
	}
	return b.String()
}
