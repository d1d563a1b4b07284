package policy

import (
	"cmp"
	"fmt"
)

func (m *Machine) onScale(s Scale) {
	if !m.keepsServing() || s.Request != 0 && m.Ending() {
		m.note(Info, "scale ignored", nil, Field{"state", m.state.String()})
		m.refuse(s.Request, "the server is ending")
		return
	}
	if s.Request != 0 {
		if why := m.outOfBounds(s); why != "" {
			m.do(Answer{Request: s.Request, Err: why, Target: m.Target()})
			return
		}
		m.scales = append(m.scales, scaling{request: s.Request, by: m.now + m.serving.config.StartTimeout})
	}
	if m.state == Reloading && m.coming == nil {
		m.rescale = m.rescale.then(s)
		return
	}
	m.scale(cmp.Or(m.coming, m.serving), s)
}

// then combines s, which may be nil, and a later request.
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

// outOfBounds returns why the pool cannot have the size of s, if it cannot.
func (m *Machine) outOfBounds(s Scale) string {
	_, want, most, _ := m.sizes(cmp.Or(m.coming, m.serving), s)
	if want >= 1 && want <= most {
		return ""
	}
	asked := fmt.Sprintf("to %d", s.To)
	if s.To == 0 {
		asked = fmt.Sprintf("by %+d", s.By)
	}
	return fmt.Sprintf("cannot scale %s: the pool has %s, and may have 1 to %d", asked, m.Target(), most)
}

// sizes returns what the pool of g has, should have and may have at most, and
// by how much a dynamic pool may grow beyond that.
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

// scale changes the size of g until the next configuration. If the size is out
// of bounds, it uses the nearest and says why.
func (m *Machine) scale(g *generation, s Scale) (clamped string) {
	have, want, limit, width := m.sizes(g, s)
	n := max(1, min(want, limit))
	if n != want {
		clamped = fmt.Sprintf("%d is outside 1 to %d", want, limit)
		m.note(Warn, "scale clamped", nil, Field{"generation", g.number}, Field{"error", clamped})
	}
	if n == have {
		return clamped
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
	return clamped
}

// limit is the maximum of Scale. It leaves slots for a reload to start a second
// pool.
func (m *Machine) limit(g *generation) int {
	if g.config.OneShot {
		return g.max
	}
	return max(g.config.Max, len(m.slots)-g.config.Max)
}
