package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"prefork/internal/script"
)

// checker wraps a Machine and checks its promises after every step. It keeps its
// own state, which it derives from events and actions. It reads the machine's
// state only for promises about that state.
type checker struct {
	full    bool // the last note about it was "pool full"
	m       *Machine
	slots   int
	workers map[ID]*shadow
	owner   map[int]ID // by slot

	lastID    ID
	committed int
	highest   int
	quiesced  map[int]bool
	retired   map[int]bool
	asked     map[int]bool // generations with an unanswered Listen
	listening map[int]bool
	living    map[int]int // number of shadows by generation

	requests map[Request]asked
	asks     Request // number of requests so far

	leftovers bool // workers of an earlier master exist

	loading          bool // Load is unanswered
	waiting, covered int  // requests for a reload that has not begun, and that has begun
	stopped          int  // counts Notify{Stopping}
	exit             *Exit
	stopAsked        time.Duration // time of the first Drain, Interrupt or Stop
	stopping         bool
	spawns           int
	recovered        int // workers that were hung and recovered
	unloaded         int // reloads whose configuration did not arrive

	state  State // before the current step
	recent []record
	listen func(record) // called for every step if not nil
	wild   bool         // the events may break the contract: check only the basics
}

// shadow is the checker's state of a worker.
type shadow struct {
	id                                ID
	slot, gen                         int
	spawned, ready, accepting, held   bool
	draining, stopped, killed, dumped bool
	dying                             bool // failed, unfit or drained
	busy, hung                        bool
	lame                              bool          // was notified of the lame duck
	closed                            time.Duration // when it closed its channel
}

// asked is an unanswered command.
type asked struct {
	command Event
	by      time.Duration // deadline of the answer to Scale
}

// record is one step, for the report of a failure.
type record struct {
	now     time.Duration
	event   Event
	actions []Action
	state   State
}

func newChecker() *checker {
	return &checker{
		m: New(), workers: map[ID]*shadow{}, requests: map[Request]asked{}, owner: map[int]ID{},
		quiesced: map[int]bool{}, retired: map[int]bool{}, asked: map[int]bool{}, listening: map[int]bool{}, living: map[int]int{},
	}
}

// step feeds an event to the machine, checks the actions and returns them.
func (c *checker) step(now time.Duration, ev Event) ([]Action, error) {
	c.state = c.m.State()
	before := c.accepting()
	broken := c.breaksProbation(ev)
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
		_, isAnswer := a.(Answer)
		if _, isVerdict := a.(Verdict); c.exit != nil && !isVerdict && !isAnswer {
			if n, ok := a.(Note); !ok || n.Level != Debug {
				return actions, fmt.Errorf("action after exit: %s", script.Format(a))
			}
		}
		if n, ok := a.(Note); ok && (n.Message == "pool full" || n.Message == "pool has room again") {
			if c.full = !c.full; c.full != (n.Message == "pool full") {
				return actions, fmt.Errorf("%q was logged twice", n.Message)
			}
		}
		if d, ok := a.(DrainWorker); ok {
			w := c.workers[d.ID]
			r, _ := ev.(Recycle)
			drained = drained || w != nil && w.accepting && w.gen == c.committed && !(r.ID == d.ID && r.Now)
		}
		if k, ok := a.(Commit); ok {
			rolled = rolled || k.Generation < c.committed
		}
		if err := c.action(a); err != nil && !(c.wild && aboutWorker(a)) {
			return actions, fmt.Errorf("action %d, %s: %w", i, script.Format(a), err)
		}
	}
	if err := c.after(now); err != nil {
		return actions, err
	}
	if broken && c.m.State() == Probation {
		return actions, fmt.Errorf("a worker on probation died without a rollback")
	}
	if before > 0 && c.accepting() == 0 && drained && !rolled && !c.stopping && !c.wild {
		return actions, fmt.Errorf("the last accepting worker was drained")
	}
	return actions, nil
}

// aboutWorker reports whether a is an order to a worker. After wild events the
// worker may be in any state.
func aboutWorker(a Action) bool {
	switch a.(type) {
	case Accept, DrainWorker, LameDuck, StopWorker, Kill, Dump:
		return true
	}
	return false
}

// breaksProbation reports whether ev is the death of a worker on probation.
func (c *checker) breaksProbation(ev Event) bool {
	e, ok := ev.(Exited)
	if !ok || c.wild || c.state != Probation {
		return false
	}
	w := c.workers[e.ID]
	stray := w != nil && !w.ready && slices.Contains(straySignals, e.Signal)
	return w != nil && w.spawned && w.gen == c.committed && !w.draining && !w.stopped && !w.busy && !stray
}

// accepting counts the workers of the committed generation that accept.
func (c *checker) accepting() int {
	n := 0
	for _, w := range c.workers {
		if w.gen == c.committed && w.accepting && !w.held {
			n++
		}
	}
	return n
}

// before updates the checker's state for an event.
func (c *checker) before(now time.Duration, ev Event) {
	switch ev := ev.(type) {
	case Boot:
		c.leftovers = c.leftovers || ev.Leftovers && c.slots == 0
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
	case Closed:
		if w := c.workers[ev.ID]; w != nil && w.spawned && w.closed == 0 {
			w.closed = now
		}
	case Drained:
		c.dying(ev.ID)
	case Leaving:
		if w := c.workers[ev.ID]; w != nil && w.spawned {
			w.draining, w.accepting, w.held = true, false, false
		}
	case Busy:
		w := c.workers[ev.ID]
		switch {
		case w == nil || !c.oneShot(ev.ID):
		case ev.Idle && !w.busy:
			c.dying(ev.ID)
		default:
			w.busy, w.accepting = true, false
		}
	case Exited:
		if w := c.workers[ev.ID]; w != nil && w.spawned {
			c.gone(w)
		}
	case Sampled:
		for _, s := range ev.Samples {
			if w := c.workers[s.ID]; w != nil && (s.Silent <= c.limit(w) || s.Suspended) {
				w.hung = false
			}
		}
	case Reload:
		c.waiting++
		c.ask(now, ev.Request, ev)
	case Scale:
		c.ask(now, ev.Request, ev)
	case Recycle:
		c.ask(now, ev.Request, ev)
	case Cancel:
		delete(c.requests, ev.Request)
	case Loaded:
		c.loading = false
		if ev.Err == "" && c.committed > 0 && c.exit == nil {
			c.highest++
		}
	case Listening:
		c.listening[ev.Generation] = c.asked[ev.Generation] && ev.Err == "" || c.listening[ev.Generation]
		c.asked[ev.Generation] = false
	case Drain:
		c.ask(now, ev.Request, ev)
	case Stop:
		c.ask(now, ev.Request, ev)
	}
	switch ev.(type) {
	case Drain, Interrupt, Stop:
		if !c.stopping {
			c.stopping, c.stopAsked = true, now
		}
	}
}

// request returns an unused number, or 0.
func (c *checker) request(waits bool) Request {
	if !waits {
		return 0
	}
	c.asks++
	return c.asks
}

func (c *checker) ask(now time.Duration, r Request, command Event) {
	if r == 0 {
		return
	}
	a := asked{command: command}
	if c.m.serving != nil {
		a.by = now + c.m.serving.config.StartTimeout
	}
	c.requests[r] = a
}

// unanswered checks that each command that is over has an answer.
func (c *checker) unanswered(now time.Duration) error {
	for r, a := range c.requests {
		_, reload := a.command.(Reload)
		_, scale := a.command.(Scale)
		switch {
		case c.exit != nil:
			return fmt.Errorf("stopped without an answer to %s", script.Format(a.command))
		case reload && c.m.State() == Running, scale && now >= a.by:
			return fmt.Errorf("request %d, %s, has no answer", r, script.Format(a.command))
		}
	}
	return nil
}

// limit returns how long w may be silent.
func (c *checker) limit(w *shadow) time.Duration {
	if of := c.m.workers[w.id]; of != nil {
		return of.gen.config.WorkerTimeout
	}
	return 0
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

// report returns the last steps as text.
func (c *checker) report() string {
	var b strings.Builder
	for _, r := range c.recent {
		fmt.Fprintf(&b, "@%s %s    (%s)\n", r.now, script.Format(r.event), r.state)
		for _, a := range r.actions {
			fmt.Fprintf(&b, "    %s\n", script.Format(a))
		}
	}
	return b.String()
}
