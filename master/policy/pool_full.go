package policy

import "time"

// A pool may be full for a moment. If connections wait for longer, clients are
// slow or there are too few workers, and that is worth a log line.
const (
	fullSamples = 3  // samples in a row until it is logged
	roomSamples = 10 // and until the end is logged
)

// fullness is whether the serving pool is full.
type fullness struct {
	logged  bool          // as full
	samples int           // in a row, that contradict logged
	since   time.Duration // when it became full
	until   time.Duration // when it had room again
}

// look takes a sample. It says whether the pool has become full or has room
// again, and how long it was full.
func (f *fullness) look(now time.Duration, full bool) (changed bool, lasted time.Duration) {
	if full == f.logged {
		f.samples = 0
		return false, 0
	}
	enough, begun := fullSamples, &f.since
	if f.logged {
		enough, begun = roomSamples, &f.until
	}
	if f.samples++; f.samples == 1 {
		*begun = now
	}
	if f.samples < enough {
		return false, 0
	}
	f.logged, f.samples = full, 0
	return true, f.until - f.since
}

// full reports whether no worker of g can take a connection.
func (g *generation) full() bool {
	if g.config.OneShot {
		return g.room() == 0 && g.count(func(w *worker) bool { return w.state == WorkerStarting || w.serves() && !w.served }) == 0
	}
	serving := g.count((*worker).serves)
	return serving > 0 && serving == g.count(func(w *worker) bool { return w.serves() && w.full })
}

// noteFull logs when connections wait for a full pool, and when that ends.
func (m *Machine) noteFull(waiting bool) {
	changed, lasted := m.fullness.look(m.now, waiting && m.serving.full())
	switch {
	case !changed:
	case m.fullness.logged:
		m.note(Warn, "pool full", nil, Field{"generation", m.serving.number}, Field{"event", m.serving.pool()})
	default:
		m.note(Info, "pool has room again", nil, Field{"generation", m.serving.number}, Field{"duration", lasted})
	}
}
