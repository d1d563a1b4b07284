package master

import (
	"os"
	"time"

	"go.uber.org/zap"

	"prefork/ipc"
	"prefork/master/policy"
)

// about returns the fields that name a worker in the log, before more.
func (m *Master) about(w *worker, more ...zap.Field) []zap.Field {
	return append([]zap.Field{
		zap.Int("slot", w.slot), zap.Int("pid", w.pid), zap.Int("generation", w.generation),
	}, more...)
}

// worker is what the master holds of one process that it started. The owner loop owns it; the
// reader and the exit watcher use only the channel and the pidfd.
type worker struct {
	id            policy.ID
	slot          int
	generation    int
	pid           int
	started       time.Time
	startedMono   int64 // the same in ipc.Now's time
	serving       bool  // told to accept, and not to drain since
	memory        *ipc.Slot
	counted       counters // what is believed of memory's
	countedAt     time.Time
	implausible   bool // the log has said that the counters are impossible
	channel       *ipc.Channel
	outbox        outbox
	crash         int      // memfd with the runtime's last words
	pidfd         *os.File // non-blocking: waits in the netpoller
	report        ipc.Report
	helloReceived bool
	stopped       bool        // told to stop
	drained       bool        // it has said so
	cut           int         // connections that it closed at its end, as it said
	process       process     // as it was seen last
	lastBeat      int64       // likewise
	exitFields    []zap.Field // for the log line of its exit
}

// list tells the workers which siblings take connections, so that they wait for
// no others. The workers of one generation share the listeners.
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
