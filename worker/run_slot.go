package worker

import (
	"fmt"
	"os"
	"runtime"

	"prefork/ipc"
)

// takeSlot maps the worker's own memory behind fd. That and the scoreboard stay mapped
// until the process ends: handlers that were cut, and a set-up that is not done, may
// write to them.
func (w *worker) takeSlot(index, fd int) error {
	if index < 0 || index >= w.board.Len() {
		return failure(fmt.Errorf("slot %d of %d", index, w.board.Len()))
	}
	slot, err := ipc.OpenSlot(fd)
	if err != nil {
		return failure(err)
	}
	w.index, w.slot, w.peer = index, slot, w.board.Peer(index)
	w.slot.PID.Store(int32(os.Getpid()))
	w.slot.GOMAXPROCS.Store(int32(runtime.GOMAXPROCS(0)))
	w.slot.Generation.Store(uint32(w.generation))
	w.beat(ipc.Now())
	return nil
}

// beat writes the heartbeat.
func (w *worker) beat(now int64) {
	w.slot.Beat.Store(now)
	w.peer.Beat.Store(now)
}

// publishState shows the worker's state to the master and the siblings.
func (w *worker) publishState(s ipc.WorkerState) {
	if w.slot.State.Load() != uint32(s) {
		w.slot.State.Store(uint32(s))
		w.peer.State.Store(uint32(s))
	}
}
