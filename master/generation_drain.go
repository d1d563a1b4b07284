package master

import (
	"slices"
	"time"

	"go.uber.org/zap"

	"prefork/ipc"
	"prefork/master/policy"
)

func (m *Master) applyDrain(a policy.DrainWorker) {
	w := m.workers[a.ID]
	if w == nil {
		return
	}
	w.serving, m.peersChanged = false, true
	d := &ipc.Drain{Hold: a.Hold, TimeoutMS: a.Timeout.Milliseconds()}
	grace := time.Duration(0)
	if g := m.generations[w.generation]; a.Hold || a.TakeQueued {
		for _, l := range m.ownListeners(g) {
			d.Own = append(d.Own, g.as[l].key)
			grace = max(grace, time.Until(l.graceUntil))
		}
	}
	if a.TakeQueued && len(d.Own) > 0 {
		d.GraceMS = max(1, min(grace, a.Timeout/2).Milliseconds()) // 0 means that nothing was quiesced
	}
	m.send(&w.link, d)
}

func (m *Master) applyQuiesce(number int) {
	g := m.generations[number]
	if g == nil {
		return
	}
	own := m.ownListeners(g)
	for _, l := range own {
		stop := l.quiesce
		if m.hasSuccessor(l) {
			stop = l.divert
		}
		if err := stop(); err != nil {
			m.log.Warn("listener not quiesced", zap.String("listener", l.name), zap.Error(err))
			continue
		}
		m.log.Info("listener closing", zap.String("listener", l.name), zap.Int("queued", l.queued()))
	}
	awaitHandshakes(own)
}

// hasSuccessor reports whether another listener of the serving generation covers
// l's address.
func (m *Master) hasSuccessor(l *listener) bool {
	return !m.machine.Ending() && l.network == "tcp" && slices.ContainsFunc(m.current.listeners, func(o *listener) bool {
		return o != l && o.listening && !o.quiesced && o.bound.covers(l.bound)
	})
}

// ownListeners lists the listeners that close when g drains.
func (m *Master) ownListeners(g *generation) (own []*listener) {
	for _, l := range g.listeners {
		if m.machine.Closes(g.number, l.external, m.current.has(l)) {
			own = append(own, l)
		}
	}
	return own
}
