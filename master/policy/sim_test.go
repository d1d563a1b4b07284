package policy

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// simEvents is the default of PREFORK_SIM_EVENTS, the number of events that
// TestSimulationKeepsThePromises plays.
const simEvents = 1_000_000

// TestSimulationKeepsThePromises plays random worlds until enough events have
// happened. Each world has a seed. PREFORK_SIM_SEED plays only one world.
func TestSimulationKeepsThePromises(t *testing.T) {
	limit := simEvents
	if s := os.Getenv("PREFORK_SIM_EVENTS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("PREFORK_SIM_EVENTS: %v", err)
		}
		limit = n
	} else if testing.Short() {
		limit = simEvents / 20
	}
	if s := os.Getenv("PREFORK_SIM_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("PREFORK_SIM_SEED: %v", err)
		}
		play(t, seed, limit)
		return
	}
	base := uint64(time.Now().UnixNano())
	t.Logf("worlds from seed %d on", base)
	total, worlds := tally{}, 0
	for seed := base; total.events < limit; seed++ {
		w := play(t, seed, min(limit-total.events, 5_000))
		total.add(w)
		worlds++
	}
	t.Logf("%d worlds: %+v", worlds, total)
	if limit >= simEvents && (total.retired == 0 || total.restarts == 0 || total.degraded == 0 || total.emptied == 0 || total.recovered == 0 || total.unloaded == 0 || total.calm == 0) {
		t.Error("the worlds were too quiet to prove anything")
	}
}

// play runs one world.
func play(t *testing.T, seed uint64, limit int) *world {
	t.Helper()
	w := newWorld(seed)
	if err := w.run(limit); err != nil {
		t.Fatalf("seed %d, event %d at %s: %v\nreplay with PREFORK_SIM_SEED=%d\n%s",
			seed, w.events, w.now, err, seed, w.c.report())
	}
	return w
}

// tally counts what has happened in the simulation, so that worlds in which
// nothing happens are noticed.
type tally struct {
	events, spawns, generations, retired, restarts, degraded, exits, orderly, emptied, recovered, unloaded, calm int
}

func (s *tally) add(w *world) {
	s.events += w.events
	s.spawns += w.c.spawns
	s.generations += w.c.highest
	s.retired += len(w.c.retired)
	s.restarts += int(w.c.m.Restarts())
	if w.c.m.Degraded() != "" {
		s.degraded++
	}
	if w.c.exit != nil {
		s.exits++
	}
	s.orderly += w.orderly
	s.recovered += w.c.recovered
	s.unloaded += w.c.unloaded
	s.calm += w.calm
	if w.orderly > 0 && w.queued > 0 {
		s.emptied++
	}
}
