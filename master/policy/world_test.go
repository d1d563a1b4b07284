package policy

import (
	"container/heap"
	"fmt"
	"math"
	"time"
)

// world simulates the environment of a machine: processes that start, serve,
// fail, hang and ignore orders, and an operator. Everything in it follows from
// its seed.
type world struct {
	c      *checker
	random random
	now    time.Duration
	queue  eventQueue
	seq    int
	events int

	profile profile
	config  Config
	procs   map[ID]*proc
	backlog int // connections that wait in the queue (one-shot worlds)

	healthy  bool // nothing fails
	loads    int  // number of Loads
	closed   bool // no more connections arrive
	canceled Request
	ends     int  // requests to end by the operator
	stopped  bool // one of them was Stop
	orderly  int  // ends with an empty queue
	queued   int  // connections in the queue when the end began

	sampleAt    time.Duration // of the next sample
	idle        bool          // no connections, unless one-shot
	calm        int           // samples while the machine was calm
	reloadSince time.Duration // when Reloading or Probation began
}

// profile configures a world. Each float64 is a probability.
type profile struct {
	late                                                            float64 // the answer to a Spawn
	latest                                                          time.Duration
	spawnFails, failsStart, fatal, diesStarting, neverReady         float64
	crashes, hangs, stalls, unfit, leaves, terminates, lies, closes float64 // in the life of a worker
	ignoresDrain, crashesDraining, ignoresStop                      float64
	badConfig, neverLoaded, listenFails                             float64
	reload, scale, recycle, stop                                    float64 // what the operator does
	freezes                                                         float64 // of all processes and the master, at a sample
	lifetime, start, finish, pause                                  time.Duration
	lossy                                                           float64 // one-shot: the worker dies with its connection
	junk                                                            float64
	arrivals                                                        time.Duration // between connections
}

// proc is a worker's process.
type proc struct {
	id      ID
	gen     int
	epoch   int // events planned in an older epoch do not happen
	spawned bool
	ready   bool
	busy    bool
	taking  bool
	drained bool
	hungAt  time.Duration // 0 if not hung
	stopped bool          // it was suspended at hungAt
	missed  []Action      // orders received while it was silent
	active  int
	served  uint64
	sampled uint64 // served at the last sample
}

// plannedEvent is a future event. It does not happen if the epoch of its process
// changes.
type plannedEvent struct {
	at    time.Duration
	seq   int
	proc  *proc
	epoch int
	event Event
	do    func()
}

type eventQueue []plannedEvent

func (h eventQueue) Len() int { return len(h) }
func (h eventQueue) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h eventQueue) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventQueue) Push(x any)   { *h = append(*h, x.(plannedEvent)) }
func (h *eventQueue) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func (w *world) chance(p float64) bool {
	return p > 0 && float64(w.random.next()>>11)/(1<<53) < p
}

// after returns a random duration with the given mean.
func (w *world) after(mean time.Duration) time.Duration {
	u := (float64(w.random.next()>>11) + 1) / (1 << 53)
	return time.Duration(-math.Log(u) * float64(mean))
}

func (w *world) plan(in time.Duration, p *proc, ev Event, do func()) {
	h := plannedEvent{at: w.now + max(in, 1), seq: w.seq, proc: p, event: ev, do: do}
	w.seq++
	if p != nil {
		h.epoch = p.epoch
	}
	heap.Push(&w.queue, h)
}

func (w *world) between(low, high int) int {
	return low + int(w.random.below(uint64(high-low+1)))
}

func (w *world) pick(of ...time.Duration) time.Duration { return of[w.random.below(uint64(len(of)))] }

// newWorld returns a world and its machine for a seed.
func newWorld(seed uint64) *world {
	w := &world{c: newChecker(), random: random{seed}, procs: map[ID]*proc{}}
	w.profile = w.newProfile(seed%8 == 0)
	w.config = w.newConfig()
	if seed%8 == 0 { // a busy one-shot service that drains without failures
		w.config.OneShot, w.config.LameDuck = true, 0
		w.config.Max = w.config.MinSpare + w.between(1, 6)
		w.config.Slots = 0
		w.profile.arrivals = w.pick(time.Millisecond, 5*time.Millisecond)
	}
	w.config.Seed = seed
	if w.healthy && w.config.OneShot {
		w.profile.stop = 0
		w.plan(w.after(w.profile.finish+100*time.Millisecond), nil, nil, func() { w.terminateAll(Drain{}) })
	}
	w.config.SampleInterval = w.pick(100*time.Millisecond, 500*time.Millisecond, time.Second)
	w.idle = w.chance(0.3)
	return w
}

func (w *world) newProfile(healthy bool) profile {
	p := profile{
		lifetime: w.pick(time.Second, 10*time.Second, time.Minute), start: w.pick(time.Millisecond, 20*time.Millisecond, 300*time.Millisecond),
		finish: w.pick(time.Millisecond, 100*time.Millisecond, 2*time.Second), pause: w.pick(50*time.Millisecond, time.Second, 20*time.Second),
		reload: 0.3, scale: 0.3, recycle: 0.2, stop: 0.01, badConfig: 0.2, neverLoaded: 0.02, junk: 0.05,
		arrivals: w.pick(time.Millisecond, 20*time.Millisecond, time.Second), freezes: 0.02,
	}
	p.late, p.latest = []float64{0, 0.1, 1}[w.random.below(3)], w.pick(20*time.Millisecond, time.Second, 4*time.Second)
	kind := w.random.below(6)
	if healthy {
		kind = 0
	}
	switch kind {
	case 0:
		w.healthy = true
		p.latest = 5 * time.Millisecond
		p.terminates = 0.1 // not a failure
	case 1: // some failures
		p.spawnFails, p.failsStart, p.diesStarting, p.neverReady = 0.01, 0.02, 0.02, 0.01
		p.crashes, p.hangs, p.stalls, p.unfit, p.leaves, p.terminates, p.lossy = 0.1, 0.02, 0.1, 0.02, 0.05, 0.05, 0.1
		p.ignoresDrain, p.crashesDraining, p.ignoresStop = 0.05, 0.05, 0.1
	case 2: // failing starts
		p.listenFails = 0.2
		p.spawnFails, p.failsStart, p.fatal, p.diesStarting, p.neverReady = 0.1, 0.2, 0.1, 0.2, 0.1
		p.ignoresStop = 0.3
	case 3: // short lives
		p.crashes, p.lossy, p.lifetime = 1, 0.5, 100*time.Millisecond
		p.lies, p.closes = 0.2, 0.1
	case 4: // ignored orders
		p.ignoresDrain, p.ignoresStop, p.hangs, p.stalls, p.terminates = 0.7, 0.7, 0.2, 0.3, 0.3
	case 5: // everything
		p.listenFails = 0.02
		p.spawnFails, p.failsStart, p.fatal, p.diesStarting, p.neverReady = 0.05, 0.1, 0.02, 0.1, 0.05
		p.crashes, p.hangs, p.stalls, p.unfit, p.leaves, p.terminates, p.lossy = 0.3, 0.1, 0.2, 0.1, 0.1, 0.2, 0.3
		p.ignoresDrain, p.crashesDraining, p.ignoresStop = 0.2, 0.2, 0.2
		p.junk = 0.2
	}
	return p
}

func (w *world) newConfig() Config {
	c := Config{
		Min: w.between(1, 5), StartTimeout: w.pick(0, time.Second, 3*time.Second), Probation: w.pick(-1, 0, 300*time.Millisecond),
		LameDuck: w.pick(0, 0, time.Second), DrainTimeout: w.pick(0, time.Second, 5*time.Second), KillDelay: w.pick(0, 100*time.Millisecond),
		WorkerTimeout: w.pick(0, -1, 2*time.Second), DumpDelay: w.pick(0, 50*time.Millisecond),
		FastDeath: w.pick(0, 200*time.Millisecond), CrashBudget: float64(w.between(1, 20)), CrashHalfLife: w.pick(0, 5*time.Second),
		BootTries: w.between(1, 20), MaxOldGenerations: w.between(1, 4), BackoffCap: w.pick(0, time.Second),
	}
	switch w.random.below(3) {
	case 1:
		c.Max = c.Min + w.between(1, 6)
		c.MinSpare = w.between(1, 3)
	case 2:
		c.OneShot = true
		c.MinSpare = w.between(1, 4)
		c.Max = c.MinSpare + w.between(0, 6)
	}
	if w.chance(0.3) {
		c.RecycleConnections = uint64(w.between(1, 50))
		c.RecycleAge = w.pick(0, 5*time.Second)
	}
	if w.chance(0.2) {
		c.Slots = max(c.Min, c.Max) + w.between(0, 4)
	}
	return c
}

// run plays events until the machine has stopped or the number of events is
// reached.
func (w *world) run(limit int) error {
	if err := w.step(Boot{Config: w.config, Leftovers: w.chance(0.3)}); err != nil {
		return err
	}
	w.sampleAt = w.c.m.SampleAfter()
	w.plan(w.after(w.profile.pause), nil, nil, w.operate)
	if w.config.OneShot {
		w.plan(w.after(w.profile.arrivals), nil, nil, w.connect)
	}
	for w.events < limit && w.c.exit == nil {
		at, ok := w.c.m.Wake()
		w.sampleAt = min(w.sampleAt, w.now+w.c.m.SampleAfter())
		if w.sampleAt <= w.now || (!ok || w.sampleAt < at) && (len(w.queue) == 0 || w.sampleAt < w.queue[0].at) {
			w.now = max(w.now, w.sampleAt)
			w.sample()
			continue
		}
		if ok && (len(w.queue) == 0 || at <= w.queue[0].at) {
			w.now = at
			if err := w.step(Tick{}); err != nil {
				return err
			}
			continue
		}
		h := heap.Pop(&w.queue).(plannedEvent)
		w.now = max(w.now, h.at)
		if h.proc != nil && (h.proc.epoch != h.epoch || w.procs[h.proc.id] != h.proc) {
			continue
		}
		if h.do != nil {
			h.do()
		}
		if h.event == nil {
			continue
		}
		if err := w.happen(h.event); err != nil {
			return err
		}
	}
	return nil
}

// happen feeds an event to the machine and applies its actions.
func (w *world) happen(ev Event) error {
	if ev, ok := ev.(Exited); ok {
		delete(w.procs, ev.ID)
	}
	if ev, ok := ev.(SpawnFailed); ok {
		delete(w.procs, ev.ID)
	}
	return w.step(ev)
}

func (w *world) step(ev Event) error {
	w.events++
	before := w.c.m.State()
	switch ev.(type) {
	case Drain, Interrupt:
		w.ends++
	case Stop:
		w.stopped = true
	}
	actions, err := w.c.step(w.now, ev)
	if err != nil {
		return err
	}
	for _, a := range actions {
		if d, ok := a.(Dump); ok {
			if p := w.procs[d.ID]; p != nil && p.ready && (p.hungAt == 0 || p.stopped) {
				return fmt.Errorf("worker %d is taken for hung: it beats, or was suspended", p.id)
			}
		}
		w.apply(a)
	}
	if err := w.checkNothingDropped(); err != nil {
		return err
	}
	return w.checkProgress(before, ev)
}

// sample returns the samples of all workers.
func (w *world) sample() {
	ev := Sampled{Waiting: !w.idle && w.chance(0.5)}
	frozen := time.Duration(0)
	if w.chance(w.profile.freezes) { // neither clock of the world advances
		frozen = w.after(time.Minute)
	}
	for _, v := range w.c.m.Workers() {
		p := w.procs[v.ID]
		if p == nil || !p.ready {
			continue
		}
		s := Sample{ID: p.id, Active: p.active, Served: p.served, RSS: 1, Beaten: p.hungAt == 0, Full: !w.idle && w.chance(0.5)}
		s.Worked, p.sampled = p.served != p.sampled, p.served
		switch {
		case p.hungAt > 0:
			s.Silent, s.Suspended = w.now-p.hungAt+frozen, p.stopped
		case w.chance(0.5): // it continued after the master, and has no new heartbeat
			s.Silent = frozen
		}
		ev.Samples = append(ev.Samples, s)
		if !w.config.OneShot && p.taking && (!w.idle || w.chance(0.01)) {
			p.active = w.between(0, 2)
			p.served += uint64(w.between(0, 5))
			if w.c.m.Calm() && p.served != p.sampled {
				w.plan(1, p, Accepted{p.id}, nil)
			}
		}
	}
	if w.c.m.Calm() {
		w.calm++
	}
	w.plan(1, nil, ev, nil)
	w.sampleAt = w.now + w.c.m.SampleAfter()
}

// request returns a new number, or 0 if no answer is wanted.
func (w *world) request() Request {
	if w.canceled == 0 && w.chance(0.1) {
		w.canceled = w.c.asks
		w.plan(w.after(time.Second), nil, Cancel{Request: w.canceled}, nil)
	}
	return w.c.request(w.chance(0.5))
}

// operate plays an action of the operator.
func (w *world) operate() {
	p := &w.profile
	id := ID(w.random.below(uint64(w.c.lastID) + 3))
	switch {
	case w.chance(p.reload):
		w.plan(1, nil, Reload{Request: w.request()}, nil)
	case w.chance(p.scale):
		w.plan(1, nil, Scale{By: w.between(-3, 3), Request: w.request()}, nil)
	case w.chance(p.scale / 3):
		w.plan(1, nil, Scale{To: w.between(-1, 12), Request: w.request()}, nil)
	case w.chance(p.recycle):
		w.plan(1, nil, Recycle{ID: id, Now: w.chance(0.3), Request: w.request()}, nil)
	case w.chance(p.stop):
		w.terminateAll(Drain{Request: w.request()})
	case w.chance(p.stop):
		w.plan(1, nil, []Event{Drain{}, Drain{Request: w.request()}, Interrupt{}, Stop{Request: w.request()}}[w.random.below(4)], nil)
	case w.chance(p.junk) && w.procs[id] == nil:
		w.plan(1, nil, []Event{
			Ready{id}, Busy{ID: id}, Drained{id}, Accepted{id}, Exited{ID: id, Code: 1}, Spawned{id, 1}, SpawnFailed{id, "junk"},
			Failed{id, 78, "junk"}, Unfit{id, "junk"}, Boot{}, Tick{}, Leaving{id}, Terminated{id},
		}[w.random.below(13)], nil)
	}
	w.plan(w.after(p.pause), nil, nil, w.operate)
}

// connect adds a connection to the queue and gives it to a one-shot worker.
func (w *world) connect() {
	if w.closed {
		return
	}
	if w.backlog < 50 {
		w.backlog++
	}
	for _, v := range w.c.m.Workers() {
		if p := w.procs[v.ID]; p != nil && p.taking && !p.busy {
			w.take(p)
			break
		}
	}
	w.plan(w.after(w.profile.arrivals), nil, nil, w.connect)
}
