package policy

import "fmt"

func (m *Machine) onReload(r Request) {
	add(&m.reloads, r)
	switch m.state {
	case Running:
		m.load()
	case Booting, Reloading, Probation:
		if !m.reloadQueued {
			m.note(Info, "reload queued", nil, Field{"state", m.state.String()})
		}
		m.reloadQueued = true
	default:
		m.refuseReloads()
	}
}

// refuseReloads answers reloads that come too late.
func (m *Machine) refuseReloads() {
	err := "the server is draining"
	if m.state != Draining {
		err = "the server is stopping"
	}
	m.do(Verdict{Generation: m.Generation(), Err: err})
	m.answer(&m.reloading, err)
	m.answer(&m.reloads, err)
}

// load begins a reload.
func (m *Machine) load() {
	m.state = Reloading
	m.loading = true
	c := &m.serving.config
	m.loadBy = m.now + c.StartTimeout + c.KillDelay // the loader should end before
	m.note(Info, "reload begun", nil, Field{"generation", m.lastGeneration + 1})
	m.do(Notify{State: NotifyReloading, Status: fmt.Sprintf("loading generation %d", m.lastGeneration+1)})
	m.do(Load{})
	m.reloading, m.reloads = m.reloads, nil
}

func (m *Machine) startQueuedReload() {
	if m.reloadQueued {
		m.reloadQueued = false
		m.load()
	}
}

// waitsForLoad reports whether a reload waits for its configuration.
func (m *Machine) waitsForLoad() bool { return m.loading && m.state == Reloading }

func (m *Machine) onLoaded(ev Loaded) {
	awaited := m.waitsForLoad()
	m.loading = false
	if ev.Err != "" {
		if awaited {
			m.endReload(ev.Err)
		}
		return
	}
	c := ev.Config.WithDefaults()
	c.Slots = len(m.slots)
	g := m.newGeneration(c) // settle retires it if it is not wanted
	if !awaited {
		m.note(Debug, "loaded configuration not used", nil, Field{"generation", g.number})
		return
	}
	if why := m.refusal(g); why != "" {
		m.endReload(why)
		return
	}
	if old := m.serving; c.dynamic() && old.config.dynamic() {
		// It will have the same load, but must not wait for slots.
		free := len(m.slots) - len(m.workers)
		g.size = max(g.min, min(old.size, g.max, free))
	}
	m.coming = g
	g.completeBy = m.now + c.StartTimeout
	if s := m.rescale; s != nil {
		m.rescale = nil
		clamped := m.scale(g, *s)
		for i := range m.scales {
			m.scales[i].clamped = clamped
		}
	}
	m.note(Info, "generation starting", nil, Field{"generation", g.number}, Field{"event", g.pool()})
}

// refusal returns why g cannot start beside the generation that serves.
func (m *Machine) refusal(g *generation) string {
	if errs := g.config.Validate(); len(errs) > 0 {
		return listErrors(errs)
	}
	have := len(m.slots) - m.serving.count((*worker).alive)
	if need := g.places(); need > have {
		return fmt.Sprintf("%d workers beside those that serve do not fit %d slots", need, len(m.slots))
	}
	return ""
}

// commit makes the new generation serve, and holds the old one.
func (m *Machine) commit() {
	g, old := m.coming, m.serving
	m.serving, m.coming, m.held = g, nil, old
	m.state = Probation
	m.probation = m.now + max(0, g.config.Probation)
	m.note(Info, "generation on probation", nil,
		Field{"generation", g.number}, Field{"duration", max(0, g.config.Probation)})
	m.do(Commit{Generation: g.number})
	for _, w := range g.members {
		if w.serves() {
			m.accept(w)
		}
	}
	for _, w := range old.members {
		switch {
		case w.state == WorkerStarting:
			m.stop(w, causeReplaced)
		case w.serves() && !w.served:
			m.hold(w)
		}
	}
}

// passProbation drains the old generation.
func (m *Machine) passProbation() {
	old := m.held
	m.held = nil
	old.takingQueued = old.mustTakeQueued()
	m.drainGeneration(old, causeReplaced, m.now+old.config.DrainTimeout)
	if m.brake.degraded {
		m.note(Info, "service recovered", nil, Field{"generation", m.serving.number})
	}
	m.brake = brake{}
	m.endReload("")
}

// failReload stops the new generation, which has not served.
func (m *Machine) failReload(why string) {
	g := m.coming
	m.coming = nil
	m.stopGeneration(g, causeRolledBack)
	m.endReload(why)
}

// rollBack makes the old generation serve again. It accepts before the new one
// stops.
func (m *Machine) rollBack(why string) {
	old, bad := m.held, m.serving
	m.serving, m.held = old, nil
	m.do(Commit{Generation: old.number})
	for _, w := range old.members {
		if w.held {
			m.accept(w)
		}
	}
	m.drainGeneration(bad, causeRolledBack, m.now+bad.config.DrainTimeout)
	for _, w := range bad.members {
		m.drain(w, causeRolledBack, true, bad.config.DrainTimeout) // those that were starting
	}
	m.endReload(why)
}

// endReload reports how the reload ended.
func (m *Machine) endReload(why string) {
	m.state = Running
	m.rescale = nil
	status := m.status()
	if why == "" {
		m.note(Info, "reload done", nil, Field{"generation", m.serving.number})
	} else {
		m.note(Error, "reload failed", nil, Field{"generation", m.serving.number}, Field{"error", why})
		status = "reload failed: " + why + "; " + status
	}
	m.do(Notify{State: NotifyReady, Status: status})
	m.do(Verdict{Generation: m.serving.number, Err: why})
	m.answer(&m.reloading, why)
	m.startQueuedReload()
}
