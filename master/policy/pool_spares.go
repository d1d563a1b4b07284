package policy

// maxSpawnRate bounds the doubling of a dynamic pool's growth per sample, as
// Apache's MAX_SPAWN_RATE and php-fpm's FPM_MAX_SPAWN_RATE do.
const maxSpawnRate = 32

// spares decides once a sample how a dynamic pool grows and shrinks, as
// Apache's prefork MPM and php-fpm's pm=dynamic do: it grows at a rate that
// doubles while there are too few idle workers, and shrinks by one.
type spares struct {
	rate      int // how many to add next time
	maxLogged bool
}

// load is the state of a pool in a sample.
type load struct {
	idle   int // workers without a connection
	coming int // places whose worker is not ready yet; they count as idle
	size   int
	min    int
	max    int
}

// decide returns the change of the size, at least -1, and whether to log that
// the maximum is reached.
func (s *spares) decide(l load, minSpare, maxSpare int) (change int, full bool) {
	idle := l.idle + l.coming
	if idle >= minSpare {
		s.rate, s.maxLogged = 1, false
		if l.idle > maxSpare && l.size > l.min {
			return -1, false
		}
		return 0, false
	}
	room := l.max - l.size
	if room <= 0 {
		full = !s.maxLogged
		s.rate, s.maxLogged = 1, true
		return 0, full
	}
	change = min(s.rate, minSpare-idle, room)
	s.rate = min(2*s.rate, maxSpawnRate)
	return change, false
}

// adjustSpares grows or shrinks the serving generation's pool if it is dynamic.
func (m *Machine) adjustSpares(g *generation) {
	if g.config.OneShot || g.max <= g.min {
		return
	}
	idle := g.count(func(w *worker) bool { return w.idle() && !w.retiring })
	ready := g.count(func(w *worker) bool { return w.serves() && !w.retiring })
	change, full := g.spares.decide(
		load{idle: idle, coming: max(0, g.size-ready), size: g.size, min: g.min, max: g.max},
		g.config.MinSpare, g.config.MaxSpare)
	switch {
	case full:
		m.note(Warn, "worker maximum reached", nil, Field{"generation", g.number}, Field{"event", g.pool()})
	case change > 0:
		g.size += change
		m.note(Debug, "pool grows", nil, Field{"generation", g.number}, Field{"attempt", change})
	case change < 0:
		for _, w := range g.members {
			if w.idle() && !w.retiring {
				g.size--
				m.drain(w, causeIdle, false, g.config.DrainTimeout)
				return
			}
		}
	}
}
