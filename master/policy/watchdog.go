package policy

import "time"

// Quorum reports whether the service manager's watchdog may be fed: at least half
// of the serving workers have a heartbeat that is younger than half the
// watchdog's interval, and than MinWorkerTimeout. Without workers it may,
// because a pool that is being replaced is not hung.
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

// WatchdogCheck is how often to check that: at every sample, or more often if
// half the interval has no room for two checks.
func WatchdogCheck(half, sample time.Duration) time.Duration {
	const least = 10 * time.Millisecond // an absurd WatchdogSec= must not be all that the loop does
	return max(least, min(sample, half/2))
}

// NeedsTime reports whether the service manager should wait longer for a start, a
// reload or a drain, which all end by themselves. TimeoutStartSec= is the limit
// of a reload as well.
func (m *Machine) NeedsTime() bool { return m.state != Running }
