package policy

import "time"

// Quorum says whether the service manager's watchdog may be fed: at least half
// of the serving workers have been silent for less than limit. Without any
// worker it may: a pool that is being replaced is no hang.
func Quorum(silent []time.Duration, limit time.Duration) bool {
	alive := 0
	for _, s := range silent {
		if s < limit {
			alive++
		}
	}
	return 2*alive >= len(silent)
}
