package policy

func (m *Machine) onSpawned(w *worker, ev Spawned) {
	if w.spawned {
		return
	}
	w.spawned, w.pid = true, ev.PID
	if w.state == WorkerExiting {
		m.sendStop(w) // it was stopped before it existed
		return
	}
	m.note(Debug, "worker spawned", w)
	w.deadline(m.now+w.gen.config.StartTimeout, dueStart)
}

// onSpawnFailed handles a process that could not be started, like one that died
// at once.
func (m *Machine) onSpawnFailed(w *worker, ev SpawnFailed) {
	if w.spawned {
		return
	}
	if w.state == WorkerExiting { // it was stopped before it existed
		m.remove(w)
		return
	}
	m.remove(w)
	m.note(Warn, "worker not spawned", nil,
		Field{"slot", w.slot}, Field{"generation", w.gen.number}, Field{"error", ev.Err})
	w.failure = "could not be spawned: " + ev.Err
	if m.state == Probation && w.gen == m.serving {
		m.delayReplacement(w) // not the generation's fault
		return
	}
	m.afterCrash(w)
}

func (m *Machine) onReady(w *worker) {
	if w.state != WorkerStarting || !w.spawned {
		return
	}
	m.enter(w, WorkerReady)
	w.readyAt, w.everReady = m.now, true
	w.silent, w.silentAsOf = 0, m.now // until now it had a StartTimeout
	g := w.gen
	g.everReady++
	level := Info
	if g.config.OneShot {
		level = Debug
	}
	m.note(level, "worker ready", w, Field{"duration", m.now - w.started})
	if m.state == Draining {
		m.do(LameDuck{ID: w.id}) // before a health check
	}
	switch {
	case g == m.coming: // waits for the commit
	case g == m.serving && m.keepsServing():
		if m.listen(g) {
			m.accept(w)
		}
	case m.now < g.drainBy && g.listens == listensNow:
		// It was started to take what is queued for g alone. It must not accept from
		// the other listeners, which serve the next generation by now.
		m.drain(w, causeDrain, true, g.drainBy-m.now)
	default:
		m.stop(w, causeDrain)
	}
}

func (m *Machine) onFailed(w *worker, ev Failed) {
	if w.state == WorkerExiting {
		return
	}
	if w.state != WorkerStarting || !w.spawned {
		m.onUnfit(w, "sent failed after ready")
		return
	}
	m.note(Warn, "worker failed", w, Field{"exit_code", ev.Code}, Field{"error", ev.Err})
	m.markDying(w, causeFailed, "failed: "+ev.Err)
	if m.state == Booting && ev.Code == ExitConfig {
		m.abort(ExitConfig, ev.Err)
		return
	}
	m.failGenerationOf(w)
}

// onBusy no longer counts the worker as a spare. One without a connection is
// unfit: otherwise it would be replaced at once, and the next one as well,
// without end.
func (m *Machine) onBusy(w *worker, ev Busy) {
	if !w.gen.config.OneShot {
		return
	}
	if ev.Idle && !w.served {
		m.onUnfit(w, "reported busy without a connection")
		return
	}
	w.served = true
	if w.state == WorkerReady {
		w.retiring = false // it leaves after its connection
		m.enter(w, WorkerBusy)
		if w.terminated {
			m.drain(w, causeLeaving, false, w.gen.config.DrainTimeout)
		}
	}
}
