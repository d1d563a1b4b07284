package master

import (
	"time"

	"prefork/master/policy"
)

// feeding returns how often there is to be a look at whether the watchdog can
// be fed, so that it is at least twice in its interval: at every sample, unless
// the interval is short.
func (m *Master) feeding() time.Duration {
	return max(leastFeeding, min(m.base.Policy.SampleInterval, m.watchdog/2))
}

// leastFeeding keeps an absurd WatchdogSec= from being all that the loop does.
const leastFeeding = 10 * time.Millisecond

// feed feeds the watchdog, if its time has come and the workers are well.
func (m *Master) feed() {
	m.now() // or the first look after an absence would find nobody well
	if time.Since(m.fed) < m.watchdog-m.feeding() || !m.quorum() {
		return
	}
	err := m.notify.Watchdog()
	if err == nil {
		m.fed = time.Now()
	}
	m.heard(err)
}

// restless is how long a worker's heartbeat may always take: its loop ticks
// twice a second at least.
const restless = 2 * time.Second

// quorum says whether enough serving workers have a heartbeat that is not
// overdue. The service manager restarts a service whose watchdog is not fed.
func (m *Master) quorum() bool {
	var silent []time.Duration
	for _, w := range m.workers {
		if !w.serving || w.generation != m.current.number {
			continue
		}
		silent = append(silent, m.clock.silence(w.heartbeat()))
	}
	return policy.Quorum(silent, max(m.watchdog, restless))
}
