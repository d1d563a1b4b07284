package policy

import "fmt"

func (m *Machine) onScale(s Scale) {
	switch {
	case !m.serves():
		m.note(Info, "scale ignored", nil, Field{"state", m.state.String()})
	case m.state == Reloading && m.coming == nil:
		m.rescale = m.rescale.then(s)
	case m.coming != nil:
		m.scale(m.coming, s)
	default:
		m.scale(m.serving, s)
	}
}

// then returns one request for what s, which may be nil, and next ask for.
func (s *Scale) then(next Scale) *Scale {
	next.To, next.By = bound(next.To), bound(next.By)
	switch {
	case s == nil || next.To != 0:
		return &next
	case s.To != 0:
		return &Scale{To: max(1, bound(s.To+next.By))}
	}
	return &Scale{By: bound(s.By + next.By)}
}

// bound keeps sums of requests far from overflow.
func bound(n int) int { return max(-2*MaxSlots, min(n, 2*MaxSlots)) }

// Bounds returns the size that s asks for, and the largest that the pool may
// have; the smallest is 1. Who asks for what is outside of them gets the
// nearest, so who would rather be refused asks here first.
func (m *Machine) Bounds(s Scale) (want, most int) {
	g := m.coming
	if g == nil {
		g = m.serving
	}
	if g == nil {
		return 0, 0
	}
	_, want, most, _ = m.sizes(g, s)
	return want, most
}

// sizes returns what the pool of g has, should have and may have, and how far
// a dynamic one may grow beyond that.
func (m *Machine) sizes(g *generation, s Scale) (have, want, limit, width int) {
	have, limit = g.min, m.limit(g)
	switch {
	case g.config.OneShot:
		have = g.spare
	case g.config.dynamic():
		width = g.max - g.min
		limit = max(1, limit-width)
	}
	if want = bound(s.To); want == 0 {
		want = have + bound(s.By)
	}
	return have, want, limit, width
}

// scale moves the size of g until the next configuration does.
func (m *Machine) scale(g *generation, s Scale) {
	have, want, limit, width := m.sizes(g, s)
	n := max(1, min(want, limit))
	if n != want {
		m.note(Warn, "scale clamped", nil, Field{"generation", g.number},
			Field{"error", fmt.Sprintf("%d is outside 1 to %d", want, limit)})
	}
	if n == have {
		return
	}
	if g.config.OneShot {
		g.spare = n
	} else {
		g.min, g.max = n, n+width
		g.size = max(g.min, min(g.size, g.max))
	}
	m.note(Info, "scaled", nil, Field{"generation", g.number}, Field{"event", g.pool()})
	if g == m.serving {
		m.do(Notify{Status: m.status()})
	}
}

// limit is how far g may be scaled: so far that a reload to its configuration
// still finds slots for a second pool.
func (m *Machine) limit(g *generation) int {
	if g.config.OneShot {
		return g.max
	}
	return max(g.config.Max, len(m.slots)-g.config.Max)
}
