package policy

import (
	"time"

	"prefork/internal/script"
)

// Machine decides what the master does. New makes one; Step moves it. It
// belongs to one goroutine.
type Machine struct {
	state State
	now   time.Duration // of the latest Step
	out   []Action      // of the current Step

	lastID         ID
	workers        map[ID]*worker
	slots          []ID // the worker in each slot, or 0
	random         random
	brake          brake
	booted         bool
	lastGeneration int // the highest number so far

	generations []*generation // all that are not retired, oldest first
	serving     *generation   // committed
	coming      *generation   // Reloading, once loaded
	held        *generation   // Probation: the predecessor of serving

	loading      bool          // Load has not been answered
	loadBy       time.Duration // if loading: when the load is given up
	reloadQueued bool          // another reload was requested meanwhile
	rescale      *Scale        // requested while loading
	requests
	probation  time.Duration // when it ends
	bootFailed int

	lameDuck  bool // Draining, but serving until lameUntil
	lameUntil time.Duration
	drainBy   time.Duration // Draining: when connections are closed
	killAt    time.Duration // Draining: when workers are killed
	overran   int           // workers killed at killAt
	exit      Exit          // of Stopped

	leftoversBy time.Duration // until when workers of an earlier master may take; 0 without any

	restarts uint64
	fullness fullness

	calmSamples int // in a row, without another event
}

// New returns a machine that waits for Boot.
func New() *Machine { return &Machine{workers: map[ID]*worker{}} }

// Step handles an event that happened at now, the time for which the master has
// run, and returns what to do, in order. The slice is the caller's. Events that
// make no sense any more are ignored.
//
// now must not go back, and stops while the master does not run: then no
// deadline passes for workers that were frozen with it.
func (m *Machine) Step(now time.Duration, ev Event) []Action {
	m.now = max(m.now, now)
	m.out = nil
	if m.state == Stopped {
		m.afterStop(ev)
		return m.out
	}
	if !m.booted {
		m.beforeBoot(ev)
		return m.out
	}
	m.handle(ev)
	for m.advance() || m.expire() {
	}
	m.settle()
	m.notice(ev)
	return m.out
}

// Wake returns when the machine next wants a Tick, always later than the last
// Step, and false if never.
func (m *Machine) Wake() (at time.Duration, ok bool) {
	soonest := func(t time.Duration) {
		if !ok || t < at {
			at, ok = t, true
		}
	}
	if m.state == Stopped || !m.booted {
		return 0, false
	}
	switch {
	case m.state == Probation:
		soonest(m.probation)
	case m.lameDuck:
		soonest(m.lameUntil)
	case m.state == Draining:
		soonest(m.killAt)
	case m.waitsForLoad():
		soonest(m.loadBy)
	case m.coming != nil && m.coming.missing() > 0:
		soonest(m.coming.completeBy)
	}
	if m.brake.degraded {
		soonest(m.brake.recoversAt)
	}
	if m.leftoversBy > 0 {
		soonest(m.leftoversBy)
	}
	for _, s := range m.scales {
		soonest(s.by)
	}
	for _, g := range m.generations {
		if m.maintained(g) {
			for _, t := range g.pending {
				soonest(t)
			}
		}
		if g.takingQueued {
			soonest(g.drainBy)
		}
		for _, w := range g.members {
			if w.dueFor != noDue {
				soonest(w.due)
			}
		}
	}
	return at, ok
}

// beforeBoot handles events before the first configuration.
func (m *Machine) beforeBoot(ev Event) {
	switch ev := ev.(type) {
	case Boot:
		m.boot(ev)
	case Drain, Interrupt, Stop:
		m.cancelReload(Stopped)
		m.do(Exit{})
		m.afterStop(ev)
	case Reload:
		m.reloadQueued = true
		add(&m.reloads, ev.Request)
	default:
		m.refuse(requestOf(ev), "the server is starting")
		m.note(Debug, "event ignored", nil, Field{"event", script.Name(ev)})
	}
}

// afterStop handles events after the end.
func (m *Machine) afterStop(ev Event) {
	switch ev := ev.(type) {
	case Reload:
		add(&m.reloads, ev.Request)
		m.refuseReloads()
	case Drain:
		m.refuse(ev.Request, m.exit.Err)
	case Stop:
		m.refuse(ev.Request, m.exit.Err)
	default:
		m.refuse(requestOf(ev), "the server has stopped")
		m.note(Debug, "event ignored", nil, Field{"event", script.Name(ev)})
	}
}

func requestOf(ev Event) Request {
	switch ev := ev.(type) {
	case Scale:
		return ev.Request
	case Recycle:
		return ev.Request
	}
	return 0
}

// boot makes generation 1.
func (m *Machine) boot(ev Boot) {
	c := ev.Config.WithDefaults()
	m.booted = true
	m.random.state = c.Seed
	if errs := c.Validate(); len(errs) > 0 {
		m.cancelReload(Stopped)
		m.do(Exit{Code: ExitConfig, Err: listErrors(errs)})
		return
	}
	if ev.Leftovers {
		m.leftoversBy = c.LeftoverTime()
	}
	m.slots = make([]ID, c.Slots)
	m.serving = m.newGeneration(c)
	m.settle()
}

// ExitConfig is an exit status, EX_CONFIG of sysexits(3): another try would fail as
// well.
const ExitConfig = 78

// handle calls the handler of an event.
func (m *Machine) handle(ev Event) {
	switch ev := ev.(type) {
	case Spawned:
		m.withWorker(ev.ID, ev, func(w *worker) { m.onSpawned(w, ev) })
	case SpawnFailed:
		m.withWorker(ev.ID, ev, func(w *worker) { m.onSpawnFailed(w, ev) })
	case Ready:
		m.withWorker(ev.ID, ev, m.onReady)
	case Failed:
		m.withWorker(ev.ID, ev, func(w *worker) { m.onFailed(w, ev) })
	case Busy:
		m.withWorker(ev.ID, ev, func(w *worker) { m.onBusy(w, ev) })
	case Drained:
		m.withWorker(ev.ID, ev, m.onDrained)
	case Terminated:
		m.withWorker(ev.ID, ev, m.onTerminated)
	case Leaving:
		m.withWorker(ev.ID, ev, m.onLeaving)
	case Closed:
		m.withWorker(ev.ID, ev, m.onClosed)
	case Unfit:
		m.withWorker(ev.ID, ev, func(w *worker) { m.onUnfit(w, ev.Err) })
	case Exited:
		m.withWorker(ev.ID, ev, func(w *worker) { m.onExited(w, ev) })
	case Accepted:
		m.withWorker(ev.ID, ev, func(*worker) {}) // the server is calm no more
	case Sampled:
		m.onSampled(ev)
	case Reload:
		m.onReload(ev.Request)
	case Loaded:
		m.onLoaded(ev)
	case Listening:
		m.onListening(ev)
	case Scale:
		m.onScale(ev)
	case Cancel:
		m.onCancel(ev.Request)
	case Recycle:
		if m.workers[ev.ID] == nil {
			m.refuse(ev.Request, "the worker is gone")
		}
		m.withWorker(ev.ID, ev, func(w *worker) { m.onRecycle(w, ev) })
	case Drain:
		m.onDrain(ev.Request)
	case Interrupt:
		m.onDrain(0)
	case Stop:
		add(&m.ends, ev.Request)
		m.onStop()
	case Tick:
	default:
		m.note(Debug, "event ignored", nil, Field{"event", script.Name(ev)})
	}
}

// withWorker calls f if the worker is alive. Otherwise the event is late, which
// is normal.
func (m *Machine) withWorker(id ID, ev Event, f func(*worker)) {
	if w := m.workers[id]; w != nil {
		f(w)
		return
	}
	m.note(Debug, "event ignored", nil, Field{"event", script.Name(ev)})
}

// advance makes one transition that is due, by time or because a pool is
// complete, and reports whether there was one.
func (m *Machine) advance() bool {
	switch {
	case m.state == Booting && m.serving.complete() && m.listen(m.serving):
		m.run()
	case m.waitsForLoad() && m.now >= m.loadBy:
		m.loading = false
		m.endReload("the configuration was not loaded within " + m.serving.config.StartTimeout.String())
	case m.state == Reloading && m.coming != nil && m.coming.complete() && m.listen(m.coming):
		m.commit()
	case m.state == Reloading && m.coming != nil && m.coming.missing() > 0 && m.now >= m.coming.completeBy:
		m.failReload("no free slot for all workers within " + m.coming.config.StartTimeout.String())
	case m.state == Probation && m.now >= m.probation:
		m.passProbation()
	case m.lameDuck && m.now >= m.lameUntil:
		m.beginDrain()
	case m.state == Draining && !m.lameDuck && m.now >= m.killAt:
		m.overrun()
	case m.leftoversBy > 0 && m.now >= m.leftoversBy:
		m.leftoversBy = 0
		m.do(KillLeftovers{})
	default:
		return false
	}
	return true
}

// run ends the start.
func (m *Machine) run() {
	m.state = Running
	m.note(Info, "running", nil, Field{"generation", m.serving.number}, Field{"duration", m.now})
	m.do(Notify{State: NotifyReady, Status: m.status()})
	m.startQueuedReload()
}

// settle brings every pool towards its size and removes what is over.
func (m *Machine) settle() {
	for _, g := range m.generations {
		m.maintain(g)
	}
	if m.keepsServing() {
		m.releaseRetiring(m.serving)
	}
	m.capOld()
	m.retire()
	m.answerScales()
	if m.brake.recover(m.now) {
		m.note(Info, "service recovered", nil)
		m.do(Notify{Status: m.status()})
	}
	m.finish()
}

// keepsServing reports whether the committed generation is kept at its size.
func (m *Machine) keepsServing() bool {
	switch m.state {
	case Booting, Running, Reloading, Probation:
		return true
	case Draining:
		return m.lameDuck
	}
	return false
}

// do appends an action.
func (m *Machine) do(a Action) { m.out = append(m.out, a) }

// note adds a log line, about w if it is not nil.
func (m *Machine) note(level Level, message string, w *worker, fields ...Field) {
	n := Note{Level: level, Message: message, Fields: fields}
	if w != nil {
		n.ID = w.id
		n.Fields = append([]Field{{"slot", w.slot}, {"pid", w.pid}, {"generation", w.gen.number}}, fields...)
	}
	m.do(n)
}
