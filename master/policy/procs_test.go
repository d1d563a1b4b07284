package policy

import "time"

// apply carries out an action as processes do: late, badly or not at all.
func (w *world) apply(a Action) {
	if p := w.procs[about(a)]; p != nil && p.hungAt > 0 {
		p.missed = append(p.missed, a)
	}
	switch a := a.(type) {
	case Load:
		w.load()
	case Spawn:
		w.spawn(a)
	case Listen:
		ev := Listening{Generation: a.Generation}
		if w.chance(w.profile.listenFails) {
			ev.Err = "address already in use"
		}
		w.plan(1, nil, ev, nil)
	case Accept:
		if p := w.procs[a.ID]; p != nil {
			w.serve(p)
		}
	case DrainWorker:
		if p := w.procs[a.ID]; p != nil {
			w.drain(p, a)
		}
	case StopWorker:
		p := w.procs[a.ID]
		if p == nil || p.hungAt > 0 || w.chance(w.profile.ignoresStop) {
			return
		}
		p.epoch++
		p.taking = false
		w.plan(w.after(2*time.Millisecond), p, Exited{ID: p.id, Code: w.between(0, 1)}, nil)
	case Kill:
		if p := w.procs[a.ID]; p != nil {
			p.epoch++
			w.plan(w.after(time.Millisecond), p, Exited{ID: p.id, Signal: 9}, nil)
		}
	case Quiesce:
		if !w.closed && w.c.stopping && a.Generation == w.c.committed {
			w.closed, w.queued = true, w.backlog
		}
	case Commit:
		w.config.OneShot = w.c.m.serving.config.OneShot
	}
}

func (w *world) load() {
	ev := Loaded{Config: w.newConfig()}
	ev.Config.OneShot = w.config.OneShot // one-shot worlds have a queue, others do not
	if ev.Config.OneShot {
		ev.Config.MinSpare = w.between(1, 3)
		ev.Config.Max = ev.Config.MinSpare + w.between(0, 5)
	}
	switch {
	case w.chance(w.profile.badConfig):
		ev = Loaded{Err: "line 1: no"}
	case w.chance(w.profile.badConfig):
		ev.Config.BackoffBase = 1
	}
	w.loads++
	load, took := w.loads, w.after(50*time.Millisecond)
	if w.chance(w.profile.neverLoaded) {
		took = time.Hour
	}
	w.plan(took, nil, nil, func() {
		if load == w.loads && w.c.loading { // else it was given up
			w.plan(1, nil, ev, nil)
		}
	})
}

func (w *world) spawn(a Spawn) {
	p := &proc{id: a.ID, gen: a.Generation}
	w.procs[a.ID] = p
	f := &w.profile
	in := w.after(100 * time.Microsecond)
	if w.chance(f.late) { // it waits for a zygote, which may not answer
		in = min(w.after(w.pick(5*time.Millisecond, f.latest)), 4*time.Second)
		w.plan(in, p, nil, func() {
			if w.c.m.WorkerState(p.id) == WorkerExiting { // given up meanwhile
				p.epoch++
				w.plan(1, p, SpawnFailed{p.id, "not needed any more"}, nil)
			}
		})
	}
	if w.chance(f.spawnFails) {
		w.plan(in, p, SpawnFailed{p.id, "no memory"}, nil)
		return
	}
	w.plan(in, p, Spawned{p.id, int(p.id)}, func() { p.spawned = true })
	ready := in + 1 + w.after(f.start)
	if w.healthy {
		ready = min(ready, 500*time.Millisecond) // every start timeout is longer
	}
	switch {
	case w.chance(f.neverReady):
		p.hungAt = w.now
	case w.chance(f.failsStart):
		code := 1
		if w.chance(f.fatal) {
			code = 78
		}
		w.plan(ready, p, Failed{p.id, code, "no"}, func() {
			p.epoch++
			if !w.chance(f.ignoresStop) {
				w.plan(time.Millisecond, p, Exited{ID: p.id, Code: code}, nil)
			}
		})
	case w.chance(f.diesStarting):
		w.plan(ready, p, Exited{ID: p.id, Code: w.between(0, 2), Signal: []int{0, 6, 15}[w.random.below(3)]}, nil)
	default:
		w.plan(ready, p, Ready{p.id}, func() { p.ready = true })
		w.planLife(p, ready+1)
	}
}

// planLife plans what happens to a worker.
func (w *world) planLife(p *proc, from time.Duration) {
	f := &w.profile
	at := from + w.after(f.lifetime)
	switch {
	case w.chance(f.crashes):
		w.plan(at, p, Exited{ID: p.id, Code: w.between(0, 2), Signal: w.between(0, 1) * 11}, nil)
	case w.chance(f.hangs):
		w.plan(at, p, nil, func() { p.hungAt, p.taking = w.now, false })
	case w.chance(f.stalls):
		w.plan(at, p, nil, func() { w.stall(p) })
	case w.chance(f.unfit):
		w.plan(at, p, Unfit{p.id, "bad message"}, func() { p.taking = false })
	case w.chance(f.terminates / 2):
		w.plan(at, p, Terminated{p.id}, nil)
	case w.chance(f.terminates):
		w.plan(at, p, Leaving{p.id}, func() { w.leave(p) })
	case w.chance(f.closes):
		w.plan(at, p, Closed{p.id}, func() {
			p.epoch++
			p.drained = true
			w.plan(w.after(2*time.Second), p, Exited{ID: p.id}, nil)
		})
	case w.config.OneShot && w.chance(f.lies):
		w.plan(at, p, Busy{ID: p.id, Idle: true}, func() {
			p.epoch++
			p.taking, p.drained = false, true
			w.plan(time.Millisecond, p, Exited{ID: p.id}, nil)
		})
	case w.chance(f.leaves):
		w.plan(at, p, Drained{p.id}, func() {
			p.epoch++
			p.taking, p.drained = false, true
			w.plan(time.Millisecond, p, Exited{ID: p.id}, nil)
		})
	}
}

// stall makes a worker silent for some time, because its loop hangs or because
// it got SIGSTOP. Then it follows the orders that it got meanwhile.
func (w *world) stall(p *proc) {
	took := p.taking
	p.hungAt, p.stopped, p.taking = w.now, w.chance(0.5), false
	w.plan(w.after(w.pick(time.Second, 5*time.Second, time.Minute)), p, nil, func() {
		missed := p.missed
		p.hungAt, p.stopped, p.taking, p.missed = 0, false, took, nil
		for _, a := range missed {
			w.apply(a)
		}
		w.planLife(p, 1)
	})
}

// about returns the worker of an order, or 0. Kill is not an order.
func about(a Action) ID {
	switch a := a.(type) {
	case Accept:
		return a.ID
	case DrainWorker:
		return a.ID
	case StopWorker:
		return a.ID
	}
	return 0
}

// leave makes a worker drain and exit without an order of the machine.
func (w *world) leave(p *proc) {
	f := &w.profile
	p.epoch++
	p.taking, p.drained = false, true
	switch {
	case w.chance(f.ignoresDrain):
	case w.chance(f.crashesDraining):
		w.plan(1+w.after(f.finish), p, Exited{ID: p.id, Code: 1}, nil)
	default:
		// A drain without an order ends at the worker's own deadline.
		w.plan(1+min(w.after(f.finish), w.drainTimeout(p)), p, Drained{p.id}, func() {
			p.epoch++
			w.plan(w.after(time.Millisecond), p, Exited{ID: p.id}, nil)
		})
	}
}

// drainTimeout returns the drain timeout of p's generation.
func (w *world) drainTimeout(p *proc) time.Duration {
	for _, g := range w.c.m.generations {
		if g.number == p.gen {
			return g.config.DrainTimeout
		}
	}
	return 0 // the generation is gone, and p with it
}

func (w *world) serve(p *proc) {
	if p.busy || p.hungAt > 0 || p.drained {
		return
	}
	p.taking = true
	if w.config.OneShot {
		w.take(p)
	}
}

func (w *world) drain(p *proc, a DrainWorker) {
	p.taking = false
	f := &w.profile
	if a.Hold || p.hungAt > 0 || p.drained || w.chance(f.ignoresDrain) {
		return
	}
	switch {
	case p.busy: // exits when it is done, as planned, or at the timeout
		w.plan(a.Timeout, p, Exited{ID: p.id}, nil)
	case a.TakeQueued && w.config.OneShot && w.take(p):
	case w.chance(f.crashesDraining):
		p.epoch++
		w.plan(w.after(f.finish), p, Exited{ID: p.id, Signal: 11}, nil)
	default:
		p.epoch++
		w.plan(min(w.after(f.finish), a.Timeout), p, Drained{p.id}, func() {
			p.epoch++
			w.plan(w.after(time.Millisecond), p, Exited{ID: p.id}, nil)
		})
	}
}

// terminateAll sends SIGTERM to the master, as ev. At about the same time it
// sends SIGTERM to none, some or all of the workers.
func (w *world) terminateAll(ev Event) {
	within := w.pick(1, time.Millisecond, 20*time.Millisecond)
	w.plan(time.Duration(w.between(1, int(within))), nil, ev, nil)
	share := []float64{0, 0.5, 1}[w.random.below(3)]
	for _, v := range w.c.m.Workers() {
		if p := w.procs[v.ID]; p != nil && p.spawned && !p.drained && w.chance(share) {
			w.plan(time.Duration(w.between(1, int(within))), p, nil, func() { w.terminate(p) })
		}
	}
}

// terminate sends SIGTERM to one process. It kills a process that cannot handle
// it yet.
func (w *world) terminate(p *proc) {
	if !p.ready && w.chance(0.5) {
		p.epoch++
		w.plan(1, p, Exited{ID: p.id, Signal: 15}, nil)
		return
	}
	w.plan(1, p, Terminated{p.id}, nil)
}

// take gives a one-shot worker a connection from the queue, if there is one, and
// plans its end.
func (w *world) take(p *proc) bool {
	if w.backlog == 0 || p.hungAt > 0 {
		return false
	}
	w.backlog--
	p.epoch++
	p.busy, p.taking = true, false
	p.active, p.served = 1, 1
	w.plan(1, p, Busy{ID: p.id}, nil)
	served := 2 + w.after(w.profile.finish)
	if w.chance(w.profile.lossy) {
		w.plan(served, p, Exited{ID: p.id, Code: w.between(0, 2), Signal: w.between(0, 1) * 11}, nil)
		return true
	}
	if w.chance(0.5) {
		w.plan(served, p, Drained{p.id}, func() { p.epoch++; w.plan(time.Millisecond, p, Exited{ID: p.id}, nil) })
		return true
	}
	w.plan(served, p, Exited{ID: p.id}, nil)
	return true
}
