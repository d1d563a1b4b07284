package master

import (
	"cmp"
	"context"
	"maps"
	"os"
	"slices"
	"time"

	"prefork/ipc"
)

// status describes the server.
func (m *Master) status() Status {
	s := Status{
		PID:        os.Getpid(),
		Version:    m.options.Build,
		State:      m.machine.State().String(),
		Generation: m.current.number,
		UptimeS:    time.Since(m.started).Seconds(),
		Mode:       m.current.config.Mode,
		Target:     m.machine.Target(),
		Listeners:  make([]ListenerRow, 0, len(m.current.listeners)),
		Workers:    make([]WorkerRow, 0, len(m.workers)),
		Slots:      make([]SlotRow, 0, len(m.slots)),
		Reloads:    m.reloads,
		LastReload: m.lastReload,
		Degraded:   cmp.Or(m.machine.Degraded(), m.degraded()),
		CPUS:       ownCPU().Seconds(),

		MasterLoopLagS: m.monitor.lag().Seconds(),
	}
	for _, l := range m.current.listeners {
		if !l.listening {
			continue
		}
		s.Listeners = append(s.Listeners, ListenerRow{Name: l.name, Address: l.address, Queued: l.queued()})
	}
	latency, age := m.latency, m.age
	slots := maps.Clone(m.slots)
	for _, w := range slices.SortedFunc(maps.Values(m.workers), func(a, b *worker) int { return a.slot - b.slot }) {
		m.count(w)
		latency.add(&w.counted.latency)
		age.add(&w.counted.age)
		row := m.row(w)
		sum := slots[w.slot]
		sum.add(&w.counted)
		sum.CPUS += row.CPUS
		slots[w.slot] = sum
		row.State = m.machine.WorkerState(w.id).Shown(row.Active, m.current.config.Policy.OneShot).String()
		s.Totals.Active += row.Active
		s.Workers = append(s.Workers, row)
	}
	s.Spawn, s.SpawnReason = m.spawnMethod()
	s.Forks, s.Zygotes = m.forks, m.zygoteRows()
	s.CPUS += m.zygoteCPU.Seconds()
	for z := range m.zygotes {
		s.CPUS += z.process.cpu.Seconds()
	}
	for _, row := range slots {
		s.CPUS += row.CPUS
		s.Totals.add(&row)
		s.Slots = append(s.Slots, row)
	}
	slices.SortFunc(s.Slots, func(a, b SlotRow) int { return a.Slot - b.Slot })
	s.Totals.Restarts = m.machine.Restarts()
	s.HandlerLatency, s.ConnectionAge = latency.histogram(), age.histogram()
	return s
}

// row describes a worker, except for its state.
func (m *Master) row(w *worker) WorkerRow {
	doing, doingFor := w.doing()
	return WorkerRow{
		Slot:       w.slot,
		PID:        w.pid,
		Generation: w.generation,
		Forked:     w.forked,
		Active:     w.active(),
		Accepted:   w.counted.accepted,
		Handled:    w.counted.handled,
		Failed:     w.counted.failed,
		Answers:    w.counted.latency.count(),
		AgeS:       time.Since(w.started).Seconds(),
		RSSBytes:   w.process.rss,
		HeapBytes:  w.memory.HeapBytes.Load(),
		Goroutines: max(0, int(w.memory.Goroutines.Load())),
		GOMAXPROCS: max(0, int(w.memory.GOMAXPROCS.Load())),
		LoopLagS:   max(0, time.Duration(w.memory.LoopLag.Load())).Seconds(),
		SilentS:    w.silence().Seconds(),
		CPUS:       w.process.cpu.Seconds(),
		BytesIn:    w.counted.bytesIn,
		BytesOut:   w.counted.bytesOut,
		Doing:      doing,
		DoingS:     doingFor.Seconds(),
	}
}

// doing is the worker's oldest unanswered request, and its age.
func (w *worker) doing() (text string, age time.Duration) {
	since := w.memory.DoingSince.Load()
	if since <= 0 {
		return "", 0
	}
	return w.memory.Doing.Load(), max(1, time.Duration(ipc.Now()-since))
}

// Status describes the server as it is now. It may be called from any
// goroutine while Run runs; its error is ctx's, or ErrStopped.
func (m *Master) Status(ctx context.Context) (Status, error) {
	answer := make(chan Status, 1)
	select {
	case m.statuses <- answer:
		return <-answer, nil
	case <-m.done:
		return Status{}, ErrStopped
	case <-ctx.Done():
		return Status{}, ctx.Err()
	}
}

// answerStatus answers a request and all others that wait. One that comes later
// gets another answer, because it must see what happened since.
func (m *Master) answerStatus(answer chan<- Status) {
	waiting := []chan<- Status{answer}
	for more := true; more; {
		select {
		case answer := <-m.statuses:
			waiting = append(waiting, answer)
		default:
			more = false
		}
	}
	m.sampleWithin(m.machine.SampleInterval()) // somebody is looking
	s := m.status()
	for _, answer := range waiting {
		answer <- s.clone()
	}
}

// clone returns a copy that shares nothing with s.
func (s Status) clone() Status {
	s.Listeners, s.Workers, s.Slots = slices.Clone(s.Listeners), slices.Clone(s.Workers), slices.Clone(s.Slots)
	s.Zygotes = slices.Clone(s.Zygotes)
	for _, h := range []*Histogram{&s.HandlerLatency, &s.ConnectionAge} {
		h.BoundsS, h.Counts = slices.Clone(h.BoundsS), slices.Clone(h.Counts)
	}
	return s
}
