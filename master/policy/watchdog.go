package policy

import "time"

// Quorum says whether the service manager's watchdog may be fed: at least half
// of the serving workers have been silent for less than half the watchdog's
// interval, and never less than a healthy one may be. Without any worker it may:
// a pool that is being replaced is no hang.
func Quorum(silent []time.Duration, half time.Duration) bool {
	limit := max(half, MinWorkerTimeout)
	alive := 0
	for _, s := range silent {
		if s < limit {
			alive++
		}
	}
	return 2*alive >= len(silent)
}

// WatchdogCheck is how often to look whether the watchdog can be fed: at every
// sample, unless half its interval is so short that two looks would not fit.
func WatchdogCheck(half, sample time.Duration) time.Duration {
	const least = 10 * time.Millisecond // an absurd WatchdogSec= must not be all that the loop does
	return max(least, min(sample, half/2))
}

// NeedsTime says whether the service manager waits for something that the
// machine will end in its own time: a boot, a reload, a drain. TimeoutStartSec=
// bounds a reload too.
func (m *Machine) NeedsTime() bool { return m.state != Running }
