package master

import (
	"time"

	"prefork/master/policy"
)

// feed feeds the service manager's watchdog, if its time has come and enough
// workers have a heartbeat. The manager restarts a service that does not.
func (m *Master) feed() {
	m.now() // or the first look after an absence would find nobody well
	if time.Since(m.lastFed) < m.watchdog-m.watchdogCheck() || !m.quorum() {
		return
	}
	err := m.notify.Watchdog()
	if err == nil {
		m.lastFed = time.Now()
	}
	m.noteNotified(err)
}

func (m *Master) watchdogCheck() time.Duration {
	return policy.WatchdogCheck(m.watchdog, m.base.Policy.SampleInterval)
}

func (m *Master) quorum() bool {
	var silent []time.Duration
	for _, w := range m.workers {
		if w.serving && w.generation == m.current.number {
			silent = append(silent, m.clock.silence(w.heartbeat()))
		}
	}
	return policy.Quorum(silent, m.watchdog)
}
