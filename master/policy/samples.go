package policy

// onSampled takes in what the workers are doing and acts on it.
func (m *Machine) onSampled(samples []Sample) {
	known := make(map[ID]*Sample, len(samples))
	for i := range samples {
		known[samples[i].ID] = &samples[i]
	}
	var hung []*worker
	for _, g := range m.generations {
		for _, w := range g.members {
			s := known[w.id]
			if s == nil {
				continue
			}
			m.take(w, s)
			limit := g.config.WorkerTimeout
			if limit > 0 && s.Silent > limit && (w.serves() || w.state == WorkerDraining) {
				hung = append(hung, w)
			}
		}
	}
	for _, w := range hung {
		// An earlier one may have changed what this one is.
		if w.serves() || w.state == WorkerDraining {
			m.hang(w, known[w.id])
		}
	}
	if !m.serves() || m.serving == nil {
		return
	}
	m.adjust(m.serving)
	if m.state == Running {
		m.recycle(m.serving)
	}
}

// take copies a sample into w.
func (m *Machine) take(w *worker, s *Sample) {
	w.active, w.connected, w.rss = max(0, s.Active), s.Served, s.RSS
	if w.gen.config.OneShot {
		return // Busy tells, and sooner
	}
	switch {
	case w.state == WorkerReady && w.active > 0:
		m.enter(w, WorkerBusy)
	case w.state == WorkerBusy && w.active == 0:
		m.enter(w, WorkerReady)
	}
}

// hang ends a worker whose loop stands still.
func (m *Machine) hang(w *worker, s *Sample) {
	m.note(Warn, "worker hung", w, Field{"duration", s.Silent}, Field{"state", w.state.String()})
	m.dumpAndKill(w, causeHung, "hung for "+s.Silent.String())
	m.suspect(w)
}
