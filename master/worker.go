package master

import (
	"time"

	"go.uber.org/zap"

	"prefork/ipc"
	"prefork/master/policy"
)

// worker is a process that serves. The owner loop owns it.
type worker struct {
	link
	id          policy.ID
	slot        int
	generation  int
	forked      bool     // by a zygote
	startedMono int64    // started, as ipc.Now
	serving     bool     // was told to accept, and not to drain since
	counted     counters // the plausible counters
	countedAt   time.Time
	implausible bool  // the log has a line about its counters
	stopped     bool  // was told to stop
	drained     bool  // has reported that it drained
	cut         int   // connections that it closed at its end, as reported
	lastBeat    int64 // at the last sample
}

// updatePeers tells the workers which others of their generation accept, so
// that they do not wait for the rest.
func (m *Master) updatePeers() {
	m.peersChanged = false
	words := (m.board.Len() + 63) / 64
	serving := map[int]*[ipc.MaxSlots / 64]uint64{}
	for number := range m.generations {
		serving[number] = new([ipc.MaxSlots / 64]uint64)
	}
	for _, w := range m.workers {
		if set := serving[w.generation]; set != nil && w.serving && w.silence() < policy.MinWorkerTimeout {
			set[w.slot/64] |= 1 << (w.slot % 64)
		}
	}
	for _, w := range m.workers {
		if set := serving[w.generation]; set != nil {
			for i := range words {
				w.memory.Peers[i].Store(set[i])
			}
		}
	}
}

// about returns the log fields for a worker, and more.
func (w *worker) about(more ...zap.Field) []zap.Field {
	return append([]zap.Field{
		zap.Int("slot", w.slot), zap.Int("pid", w.pid), zap.Int("generation", w.generation),
	}, more...)
}
