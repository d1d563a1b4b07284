package policy

// A worker that is recycled loses its place first, so that the pool starts
// another one, and drains when the pool is complete without it. Until then it
// accepts. A worker that got SIGTERM is treated the same: if all processes of the
// server got it, the drain is next and this worker must take what is queued.

func (m *Machine) onRecycle(w *worker, ev Recycle) {
	if ev.Request != 0 {
		if why := m.unrecyclable(w); why != "" {
			m.refuse(ev.Request, why)
			return
		}
		add(&w.requests, ev.Request)
	}
	switch {
	case w.gen != m.serving || !m.keepsServing() || !w.serves() || w.served:
		m.note(Info, "worker not recycled", w, Field{"state", w.state.String()})
	case ev.Now:
		// Even if it is the last one that accepts: connections then wait in the
		// queue for its replacement.
		m.note(Info, "worker to leave", w, Field{"event", "asked for"})
		m.drain(w, causeRecycled, false, w.gen.config.DrainTimeout)
	case !w.retiring:
		m.retireWorker(w, "asked for")
	}
}

func (m *Machine) retireWorker(w *worker, why string) {
	w.retiring = true
	m.note(Info, "worker to be replaced", w, Field{"event", why})
}

// recycle replaces workers that have reached a limit, at most a quarter of the
// pool at once.
func (m *Machine) recycle(g *generation) {
	room := max(1, g.places()/4) - g.count(func(w *worker) bool { return w.retiring && w.serves() })
	for _, w := range g.members {
		if room <= 0 {
			return
		}
		if !w.serves() || w.retiring || w.served {
			continue
		}
		if why := w.recycleReason(m); why != "" {
			m.retireWorker(w, why)
			room--
		}
	}
}

// recycleReason returns which limit w has reached, if any.
func (w *worker) recycleReason(m *Machine) string {
	limit := w.gen.config.RecycleRSS
	switch {
	case w.recycleConnections > 0 && w.connected >= w.recycleConnections:
		return "connections"
	case w.recycleAge > 0 && m.now-w.started >= w.recycleAge:
		return "age"
	case limit > 0 && w.rss > limit:
		return "memory"
	}
	return ""
}

// releaseRetiring drains workers whose replacement accepts, oldest first.
func (m *Machine) releaseRetiring(g *generation) {
	retiring := g.count(func(w *worker) bool { return w.retiring && w.serves() })
	if retiring == 0 {
		return
	}
	whole := g.count(func(w *worker) bool { return w.serves() && !w.retiring && !w.served && !w.hung })
	spare := min(retiring, whole+retiring-g.places())
	for _, w := range g.members {
		if spare <= 0 {
			return
		}
		if w.retiring && w.serves() {
			why := causeRecycled
			if w.terminated {
				why = causeLeaving
			}
			m.drain(w, why, false, g.config.DrainTimeout)
			spare--
		}
	}
}
