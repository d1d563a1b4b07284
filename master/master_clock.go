package master

import (
	"time"

	"go.uber.org/zap"

	"prefork/ipc"
)

// clock is the policy's clock: the time for which the master has run. It stops
// while the master does not run, for example because the machine or the
// container was suspended, or after SIGSTOP. The workers did not run either, or
// their messages were not read, so no deadline may pass in that time.
//
// The owner loop owns it, and reads it when it wakes, and again and again while it
// works. It is an absence if it wakes much later than it wanted. The zero value
// starts at the first reading, and knows no absence until due is set.
type clock struct {
	due      time.Time // until when the owner loop may sleep
	read     time.Time // when it was read last
	ran      time.Duration
	absent   time.Duration // the last absence, until it is logged
	returned int64         // ipc.Now at the end of the last absence
}

const (
	lateness = 500 * time.Millisecond // how late the owner loop may wake on a busy machine
	longTurn = time.Second            // how long it may work without reading the clock
)

// now returns how long the master has run, at the time t.
func (c *clock) now(t time.Time) time.Duration {
	if c.read.IsZero() {
		c.read = t
	}
	gap := t.Sub(c.read) // both have Go's monotonic clock, which does not count a suspended machine
	asleep := max(0, c.due.Sub(c.read))
	c.read = t
	if !c.due.IsZero() && gap > max(asleep, longTurn)+lateness {
		c.absent += gap - asleep
		c.returned = ipc.Now()
		return c.ran // perhaps the absence has begun just after the last reading
	}
	c.ran += gap
	return c.ran
}

// woke says that the owner loop woke at t and works until due is set again: it may
// have woken long before due, and must not seem to sleep.
func (c *clock) woke(t time.Time) {
	c.now(t)
	c.due = t
}

// silence is the time since a heartbeat, 0 if there was none. Time before the
// end of the last absence does not count.
func (c *clock) silence(beat int64) time.Duration { return silence(beat, c.returned) }

func silence(beat, since int64) time.Duration {
	if beat == 0 {
		return 0
	}
	return max(0, time.Duration(ipc.Now()-max(beat, since)))
}

func (m *Master) now() time.Duration { return m.clock.now(time.Now()) }

// noteAbsence logs that the master did not run.
func (m *Master) noteAbsence() {
	if absent := m.clock.absent; absent > 0 {
		m.clock.absent = 0
		m.log.Warn("master did not run", zap.Duration("duration", absent))
	}
}
