package policy

import "time"

// A pool that is full for a moment is a pool that is used well. It is worth a
// line when connections wait for longer, because clients are slow, or there are
// too few workers.
const (
	fullSamples = 3  // samples in a row until the log says so
	roomSamples = 10 // and until it says that it is over
)

// fullness is whether the serving pool has room, as the samples showed it.
type fullness struct {
	logged  bool          // the log has said that it is full
	samples int           // samples in a row that speak for the contrary
	since   time.Duration // when it became full
	until   time.Duration // when it had room again
}

// look takes in one sample, and says whether the pool has become full or has
// room again, and for how long it was full.
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

// full says whether no worker of g can take a connection: each serves as many as
// it may, and of one-shot workers there are as many as there may be.
func (g *generation) full() bool {
	if g.config.OneShot {
		return g.room() == 0 && g.count(func(w *worker) bool { return w.state == WorkerStarting || w.serves() && !w.served }) == 0
	}
	serving := g.count((*worker).serves)
	return serving > 0 && serving == g.count(func(w *worker) bool { return w.serves() && w.full })
}

// noteFull logs that connections wait and no worker has room, and the end of it.
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
