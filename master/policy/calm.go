package policy

import "time"

// A server at which nothing happens needs no sample each second. It is calm when
// calmSamples in a row show nothing new and there is no other event. Then samples
// are rare, until something happens. The first connection is an event: Accepted. A
// silent worker is seen in a rare sample, and has its whole WorkerTimeout after
// that in frequent ones.
const (
	calmSamples = 10 // in a row
	calmFactor  = 10 // rare samples come after so many SampleIntervals
)

// Calm reports whether samples are rare. The workers then have to tell the master
// of their next connection, with Accepted.
func (m *Machine) Calm() bool { return m.calmSamples >= calmSamples }

// SampleInterval is that of the generation that serves.
func (m *Machine) SampleInterval() time.Duration {
	if m.serving == nil {
		return Config{}.WithDefaults().SampleInterval
	}
	return m.serving.config.SampleInterval
}

// SampleAfter returns how long after the last Sampled, or any later event, the
// next one should come.
func (m *Machine) SampleAfter() time.Duration {
	if !m.Calm() {
		return m.SampleInterval()
	}
	c := &m.serving.config
	rare := calmFactor * c.SampleInterval
	if c.WorkerTimeout > 0 {
		rare = min(rare, c.WorkerTimeout/3)
	}
	return max(rare, c.SampleInterval)
}

// notice counts how long the server has been calm. ev has been handled.
func (m *Machine) notice(ev Event) {
	switch ev := ev.(type) {
	case Tick:
	case Sampled:
		if m.showsNothingNew(ev) {
			m.calmSamples = min(m.calmSamples+1, calmSamples)
			return
		}
		m.calmSamples = 0
	default:
		m.calmSamples = 0
	}
}

// showsNothingNew reports whether nothing has happened since the last sample, and
// nothing is about to happen.
func (m *Machine) showsNothingNew(ev Sampled) bool {
	if m.state != Running || len(m.generations) > 1 || ev.Waiting || len(m.out) > 0 ||
		len(ev.Samples) < len(m.serving.members) || m.serving.missing() > 0 {
		return false
	}
	for _, w := range m.serving.members {
		if !w.serves() || w.served || w.retiring || w.hung {
			return false
		}
	}
	for _, s := range ev.Samples {
		if s.Worked || !s.Beaten || s.Suspended || s.Full || s.Stuck > 0 {
			return false
		}
	}
	return true
}
