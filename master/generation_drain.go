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
	w.serving, m.relist = false, true
	d := &ipc.Drain{Hold: a.Hold, TimeoutMS: a.Timeout.Milliseconds()}
	grace := time.Duration(0)
	if g := m.generations[w.generation]; a.Hold || a.Empty {
		for _, l := range m.own(g) {
			d.Own = append(d.Own, g.as[l].key)
			grace = max(grace, time.Until(l.emptyFrom))
		}
	}
	if a.Empty && len(d.Own) > 0 {
		d.GraceMS = max(1, min(grace, a.Timeout/2).Milliseconds()) // 0 says that nothing was quiesced
	}
	m.send(w, d)
}

func (m *Master) applyQuiesce(number int) {
	g := m.generations[number]
	if g == nil {
		return
	}
	own := m.own(g)
	for _, l := range own {
		stop := l.quiesce
		if m.relieved(l) {
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

// relieved says whether the serving generation listens to l's address too, on
// another socket.
func (m *Master) relieved(l *listener) bool {
	return !m.machine.Ending() && l.network == "tcp" && slices.ContainsFunc(m.current.listeners, func(o *listener) bool {
		return o != l && o.listening && !o.quiesced && o.at.covers(l.at)
	})
}

// own lists the listeners of g that only g will go on serving.
func (m *Master) own(g *generation) (own []*listener) {
	for _, l := range g.listeners {
		if m.machine.Closes(g.number, l.external, m.current.serves(l)) {
			own = append(own, l)
		}
	}
	return own
}
