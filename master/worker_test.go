package master

import (
	"testing"
	"time"

	"prefork/ipc"
	"prefork/master/policy"
)

// A worker waits only for siblings that the master lists.
func TestWorkersKnowWhichPeersServe(t *testing.T) {
	var err error
	m := New(Options{})
	if m.board, err = ipc.NewScoreboard(130); err != nil {
		t.Fatal(err)
	}
	defer m.board.Close()
	m.generations = map[int]*generation{1: {number: 1}, 2: {number: 2}}
	add := func(slot, generation int, serving bool, beat int64) *worker {
		w := aWorker(t, slot)
		w.generation, w.serving = generation, serving
		w.memory.Beat.Store(beat)
		w.memory.Peers[0].Store(1 << 63)
		m.workers[policy.ID(len(m.workers)+1)] = w
		return w
	}
	now := ipc.Now()
	a := add(1, 1, true, now)
	add(129, 1, true, now)
	add(2, 1, false, now)                   // held
	add(3, 1, true, now-int64(time.Minute)) // stopped
	add(4, 1, true, now+int64(time.Minute)) // lies
	b := add(64, 2, true, now)
	m.peersChanged = true
	m.updatePeers()
	got := func(w *worker) (words [4]uint64) {
		for i := range words {
			words[i] = w.memory.Peers[i].Load()
		}
		return words
	}
	if got(a) != [4]uint64{1 << 1, 0, 1 << 1} || got(b) != [4]uint64{0, 1} || m.peersChanged {
		t.Errorf("generation 1 has %v, generation 2 %v", got(a), got(b))
	}
}
