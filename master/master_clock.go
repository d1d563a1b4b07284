package master

import (
	"time"

	"go.uber.org/zap"

	"prefork/ipc"
)

// clock is the policy's: the time that the master has run. It stands still in
// an absence, when the master did not run for a while: the machine or its
// virtual CPU was suspended, a container was paused, somebody sent SIGSTOP. The
// workers did not run then either, or their messages were not read, so nobody's
// deadline may pass in it.
//
// An absence is found by the owner loop, which reads the clock at every sample
// at the latest: what is much longer between two readings is one. Where the
// loop itself is slow at every turn the deadlines come late, too.
//
// The owner loop owns it. The zero value begins at the first reading, and knows
// no absence until most is set.
type clock struct {
	most     time.Duration // between two readings of a master that runs
	read     time.Time     // when it was read last
	ran      time.Duration
	absent   time.Duration // in the last absence, until somebody takes note of it
	returned int64         // ipc.Now at the end of the last absence
}

// lateness is how late a master that runs may read its clock: the processors
// may be busy.
const lateness = 500 * time.Millisecond

// now returns the time that the master has run, given the time of day.
func (c *clock) now(t time.Time) time.Duration {
	if c.read.IsZero() {
		c.read = t
	}
	gap := t.Sub(c.read) // both have Go's monotonic clock, which does not count a suspended machine
	c.read = t
	if c.most > 0 && gap > c.most {
		c.absent += gap
		c.returned = ipc.Now()
		return c.ran
	}
	c.ran += gap
	return c.ran
}

// silence is how long a heartbeat is overdue; 0 before the first. What was
// before the end of the last absence does not count.
func (c *clock) silence(beat int64) time.Duration {
	if beat == 0 {
		return 0
	}
	return max(0, time.Duration(ipc.Now()-max(beat, c.returned)))
}

// now is the policy's clock.
func (m *Master) now() time.Duration { return m.clock.now(time.Now()) }

// noteAbsence writes down that the master did not run.
func (m *Master) noteAbsence() {
	if absent := m.clock.absent; absent > 0 {
		m.clock.absent = 0
		m.log.Warn("master did not run", zap.Duration("duration", absent))
	}
}
