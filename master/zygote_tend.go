package master

import (
	"time"

	"go.uber.org/zap"

	"prefork/ipc"
)

// tendZygotes starts, stops and kills what is due. It runs after each step of the
// policy, and when zygotesWake says so.
func (m *Master) tendZygotes() {
	now := m.now()
	for z := range m.zygotes {
		switch {
		case z.due > 0 && now >= z.due:
			m.zygoteLate(z)
		case len(z.asked) > 0 && now >= z.askedAt+answerTime:
			m.log.Warn("zygote does not answer", z.about(zap.Duration("duration", now-z.askedAt))...)
			m.killZygote(z, "hung")
		case z.mayFork(m) && len(z.of.waiting) > 0 && now >= z.of.waiting[0].since+longestWait:
			m.log.Warn("zygote does not answer", z.about(zap.Duration("duration", now-z.of.waiting[0].since))...)
			m.killZygote(z, "slow")
		case z.of != nil && !m.maySpawn(z.of.g):
			m.stopZygote(z)
		}
	}
	for _, g := range m.generations {
		if f := g.forking; f != nil {
			m.dropWaiting(f)
			if m.forkTest.late(now) {
				m.executeWaiting(f)
			}
			if f.retryAt > 0 && now >= f.retryAt {
				f.retryAt = 0
				m.startZygote(f)
			}
		}
	}
	m.reapDueStrays(now)
}

// zygoteLate handles a zygote that is not ready, or not gone, in time.
func (m *Master) zygoteLate(z *zygote) {
	if z.cause == "" {
		m.log.Warn("zygote not ready", z.about(zap.Duration("duration", m.now()-z.begun))...)
		z.due = m.now() + z.timing(m).DumpDelay
		m.send(&z.link, &ipc.Dump{})
		m.loseZygote(z, "not ready")
		return
	}
	z.due = 0
	m.log.Warn("zygote killed", z.about(zap.String("event", z.cause))...)
	m.killZygote(z, z.cause)
}

// zygotesWake returns when tendZygotes has something to do, and false if never.
func (m *Master) zygotesWake() (at time.Duration, ok bool) {
	soonest := func(t time.Duration) {
		if t > 0 && (!ok || t < at) {
			at, ok = t, true
		}
	}
	for z := range m.zygotes {
		soonest(z.due)
		if len(z.asked) > 0 {
			soonest(z.askedAt + answerTime)
		}
		if z.mayFork(m) && len(z.of.waiting) > 0 {
			soonest(z.of.waiting[0].since + longestWait)
		}
	}
	for _, g := range m.generations {
		if f := g.forking; f != nil {
			soonest(f.retryAt)
			if !m.forkTest.ended && len(f.waiting) > 0 {
				soonest(m.forkTest.begunAt + testWait)
			}
		}
	}
	for _, s := range m.strays {
		soonest(s.next)
	}
	return at, ok
}
