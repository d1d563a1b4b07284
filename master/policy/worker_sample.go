package policy

import "time"

// onSampled handles a sample of all workers.
func (m *Machine) onSampled(ev Sampled) {
	samples := ev.Samples
	known := make(map[ID]*Sample, len(samples))
	for i := range samples {
		known[samples[i].ID] = &samples[i]
	}
	var sampled []*worker
	for _, g := range m.generations {
		for _, w := range g.members {
			if s := known[w.id]; s != nil {
				m.takeSample(w, s)
				sampled = append(sampled, w)
			}
		}
	}
	for _, w := range sampled {
		// checkSilence may have changed the state of this one, too.
		if w.mayHaveConnections() {
			m.checkSilence(w)
		}
		if known[w.id].Stuck > stuckTime {
			m.onUnfit(w, "does not read its channel")
		}
	}
	if !m.keepsServing() || m.serving == nil {
		return
	}
	m.adjustSpares(m.serving)
	m.noteFull(ev.Waiting)
	if m.state == Running {
		m.recycle(m.serving)
	}
}

// stuckTime is how long a worker's channel may stay full.
const stuckTime = 5 * time.Second

// takeSample copies a sample into w.
func (m *Machine) takeSample(w *worker, s *Sample) {
	w.active, w.connected, w.rss, w.full = max(0, s.Active), s.Served, s.RSS, s.Full
	// The machine's clock stops while the master does not run: a silence that is
	// longer than the clock has advanced is not the worker's.
	if s.Beaten {
		w.silent = 0
	}
	w.silent = min(s.Silent, w.silent+m.now-w.silentAsOf)
	w.silentAsOf = m.now
	m.suspend(w, s.Suspended)
	if w.gen.config.OneShot {
		return // Busy comes sooner
	}
	switch {
	case w.state == WorkerReady && w.active > 0:
		m.enter(w, WorkerBusy)
	case w.state == WorkerBusy && w.active == 0:
		m.enter(w, WorkerReady)
	}
}

// suspend notes whether w's process is suspended. Its silence is then not its
// fault.
func (m *Machine) suspend(w *worker, suspended bool) {
	switch {
	case suspended && !w.suspended:
		m.note(Warn, "worker suspended", w, Field{"duration", w.silent})
	case !suspended && w.suspended:
		m.note(Info, "worker continued", w)
	}
	w.suspended = suspended
	if suspended {
		w.suspendedAt = m.now
	}
}

// silentWhileRunning is how long w has been silent although it could run.
func (m *Machine) silentWhileRunning(w *worker) time.Duration {
	return min(w.silent, m.now-w.suspendedAt)
}

// checkSilence acts on a worker's silence. A hung worker keeps its state until
// a later sample, at least DumpDelay after, finds it still silent: then it is
// killed. One with a new heartbeat has recovered.
func (m *Machine) checkSilence(w *worker) {
	limit := w.gen.config.WorkerTimeout
	if limit <= 0 {
		return
	}
	silent := m.silentWhileRunning(w) > limit
	switch {
	case silent && !w.hung:
		m.markHung(w)
	case silent && m.now-w.hungAt >= w.gen.config.DumpDelay:
		m.note(Warn, "worker killed", w, Field{"event", string(causeHung)}, Field{"state", w.state.String()})
		m.markDying(w, causeHung, w.failure)
		m.kill(w)
	case !silent && w.hung:
		w.hung, w.failure = false, ""
		if !w.suspended {
			m.note(Info, "worker recovered", w, Field{"duration", m.now - w.hungAt})
		}
	}
}

// markHung marks a worker whose loop stands still, and lets it write its
// stacks.
func (m *Machine) markHung(w *worker) {
	w.hung, w.hungAt = true, m.now
	w.failure = "hung for " + w.silent.String()
	m.note(Warn, "worker hung", w, Field{"duration", w.silent}, Field{"state", w.state.String()})
	m.dump(w)
	m.failGenerationOf(w)
}
