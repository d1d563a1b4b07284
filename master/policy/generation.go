package policy

import (
	"slices"
	"time"

	"prefork/internal/script"
)

// generation is a configuration with its pool.
type generation struct {
	number  int
	config  Config
	members []*worker // by ID
	listens listens

	// min is the size of the pool: as configured, and changed by Scale and, in
	// a dynamic pool, by its spares.
	min, max int
	size     int // workers to keep; not for one-shot
	spare    int // one-shot workers to keep ready
	spares   spares

	pending      []time.Duration // places whose replacement waits, and until when
	everReady    int             // workers that have ever been ready
	completeBy   time.Duration   // if coming: when every worker must have a slot
	noSlotLogged bool
	strays       int           // recent deaths by a signal at the start
	strayAt      time.Duration // the last of them

	// A generation that is takingQueued keeps a worker that takes queued
	// connections although it drains: that one may crash, or may have been
	// starting. A one-shot generation keeps its spares, because more
	// connections may be queued than it had workers. This ends with the first
	// worker that finds the queue empty, or at drainBy.
	takingQueued bool
	drainBy      time.Duration
	crashes      int // while takingQueued
}

// mustTakeQueued reports whether a held generation needs more workers to take what
// is queued for it alone.
func (g *generation) mustTakeQueued() bool {
	return g.config.OneShot || g.count((*worker).serves) == 0
}

type listens uint8

const (
	listensNot   listens = iota
	listensAsked         // Listen is not answered
	listensNow
)

// newGeneration makes the next generation.
func (m *Machine) newGeneration(c Config) *generation {
	m.lastGeneration++
	g := &generation{
		number: m.lastGeneration, config: c,
		min: c.Min, max: c.Max, size: c.Min, spare: c.MinSpare,
		spares: spares{rate: 1},
	}
	m.generations = append(m.generations, g)
	return g
}

// places is how many workers there should be, or spares if one-shot.
func (g *generation) places() int {
	switch {
	case g.config.OneShot:
		return g.spare
	case g.takingQueued:
		return 1
	}
	return g.size
}

// count counts the workers for which f is true.
func (g *generation) count(f func(*worker) bool) int {
	n := 0
	for _, w := range g.members {
		if f(w) {
			n++
		}
	}
	return n
}

// missing is how many places have no worker.
func (g *generation) missing() int {
	return max(0, g.places()-g.count((*worker).hasPlace))
}

// room is how many more workers the generation may have. Only one-shot pools
// have a maximum: others have places, and a replacement may start while its
// predecessor still serves.
func (g *generation) room() int {
	if g.config.OneShot {
		return max(0, g.max-len(g.members))
	}
	return MaxSlots
}

// complete reports whether every place has a worker that has become ready.
// One-shot workers leave again, so all that ever were ready count.
func (g *generation) complete() bool {
	if g.config.OneShot {
		return g.everReady >= g.spare
	}
	return g.count((*worker).serves) >= g.size
}

// maintained reports whether g is kept at its size.
func (m *Machine) maintained(g *generation) bool {
	return g == m.serving && m.keepsServing() || g == m.coming || g.takingQueued
}

// maintain starts missing workers, except those that wait, and drains surplus
// ones.
func (m *Machine) maintain(g *generation) {
	if g.takingQueued && m.now >= g.drainBy {
		g.takingQueued = false
	}
	if !m.maintained(g) {
		return
	}
	if !g.takingQueued {
		m.shrink(g)
	}
	g.pending = slices.DeleteFunc(g.pending, func(t time.Duration) bool { return t <= m.now })
	missing := g.missing()
	if len(g.pending) > missing {
		slices.Sort(g.pending)
		g.pending = g.pending[:missing]
	}
	for n := min(missing-len(g.pending), g.room()); n > 0; n-- {
		if !m.spawn(g) {
			return
		}
	}
	g.noSlotLogged = false
}

// shrink drains surplus workers: first those that are starting, then those with
// the fewest connections, and of equal ones the newest.
func (m *Machine) shrink(g *generation) {
	surplus := g.count(func(w *worker) bool { return w.alive() && w.hasPlace() }) - g.places()
	for ; surplus > 0; surplus-- {
		var pick *worker
		for _, w := range g.members {
			if w.alive() && w.hasPlace() && (pick == nil || !pick.drainsBefore(w)) {
				pick = w
			}
		}
		m.drain(pick, causeScaled, false, g.config.DrainTimeout)
	}
}

// drainsBefore reports whether w is drained before the newer worker o.
func (w *worker) drainsBefore(o *worker) bool {
	if (w.state == WorkerStarting) != (o.state == WorkerStarting) {
		return w.state == WorkerStarting
	}
	return w.active < o.active
}

// spawn starts a worker in the lowest free slot.
func (m *Machine) spawn(g *generation) bool {
	slot := slices.Index(m.slots, 0)
	if slot < 0 {
		if !g.noSlotLogged {
			g.noSlotLogged = true
			m.note(Warn, "no free slot", nil, Field{"generation", g.number})
		}
		return false
	}
	m.lastID++
	m.slots[slot] = m.lastID
	c := &g.config
	w := &worker{id: m.lastID, slot: slot, gen: g, started: m.now}
	if n := c.RecycleConnections; n > 0 {
		w.recycleConnections = n + m.random.below(n/10+1)
	}
	if d := c.RecycleAge; d > 0 {
		w.recycleAge = d + time.Duration(m.random.below(uint64(d/10)+1))
	}
	m.workers[w.id] = w
	g.members = append(g.members, w)
	m.do(Spawn{ID: w.id, Slot: slot, Generation: g.number})
	return true
}

// remove forgets a worker that is gone.
func (m *Machine) remove(w *worker) {
	m.slots[w.slot] = 0
	delete(m.workers, w.id)
	m.enter(w, WorkerGone)
	m.answer(&w.requests, "")
	g := w.gen
	g.members = slices.DeleteFunc(g.members, func(o *worker) bool { return o == w })
}

// drainGeneration drains g's workers, which take what is queued for g alone. g
// is leaving then, unless it serves.
func (m *Machine) drainGeneration(g *generation, why cause, by time.Duration) {
	m.do(Quiesce{Generation: g.number})
	g.drainBy = by
	accepting := g.count((*worker).serves) > 0
	for _, w := range g.members {
		// Wait for a starting worker only if no other can take what is queued.
		if w.state == WorkerStarting && (g.takingQueued && g.config.OneShot || !accepting) {
			continue
		}
		m.drain(w, why, true, by-m.now)
	}
}

func (m *Machine) stopGeneration(g *generation, why cause) {
	g.takingQueued = false
	for _, w := range g.members {
		m.stop(w, why)
	}
}

// leaving reports whether g neither serves nor will.
func (m *Machine) leaving(g *generation) bool {
	return g != m.serving && g != m.coming && g != m.held
}

// capOld stops the oldest draining generations if there are too many.
func (m *Machine) capOld() {
	if m.state == Draining || m.state == Killing {
		return
	}
	draining := 0
	for _, g := range slices.Backward(m.generations) {
		if !m.leaving(g) || g.count(func(w *worker) bool { return w.state == WorkerDraining }) == 0 {
			continue
		}
		if draining++; draining <= m.serving.config.MaxOldGenerations {
			continue
		}
		m.note(Warn, "old generation stopped", nil, Field{"generation", g.number})
		m.stopGeneration(g, causeTooOld)
	}
}

// retire removes generations whose workers are gone.
func (m *Machine) retire() {
	m.generations = slices.DeleteFunc(m.generations, func(g *generation) bool {
		over := m.leaving(g) && len(g.members) == 0 && !g.takingQueued
		if over {
			m.note(Info, "generation retired", nil, Field{"generation", g.number})
			m.do(Retire{Generation: g.number})
		}
		return over
	})
}

// listen reports whether g's sockets listen, and requests it if necessary. They
// begin when a worker can accept, so that a generation that never serves has no
// clients.
func (m *Machine) listen(g *generation) bool {
	if g.listens == listensNot {
		g.listens = listensAsked
		m.do(Listen{Generation: g.number})
	}
	return g.listens == listensNow
}

// onListening lets the workers accept that have waited for it.
func (m *Machine) onListening(ev Listening) {
	i := slices.IndexFunc(m.generations, func(g *generation) bool { return g.number == ev.Generation })
	if i < 0 || m.generations[i].listens != listensAsked {
		m.note(Debug, "event ignored", nil, Field{"event", script.Name(ev)})
		return
	}
	g := m.generations[i]
	switch {
	case ev.Err == "":
		g.listens = listensNow
		if g == m.serving && m.keepsServing() {
			for _, w := range g.members {
				if w.serves() {
					m.accept(w)
				}
			}
		}
	case g == m.coming:
		m.failReload(ev.Err)
	case m.state == Booting:
		m.abort(1, ev.Err)
	}
}
