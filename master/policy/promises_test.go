package policy

import (
	"fmt"
	"time"
)

// nothingDropped sees that an orderly end in a world without mishaps leaves no
// connection in the queue, provided there was time.
func (w *world) checkNothingDropped() error {
	if w.c.exit == nil || !w.closed || !w.healthy || w.rough || w.ends != 1 {
		return nil
	}
	if w.now >= w.c.m.drainBy {
		quick := w.profile.finish <= 100*time.Millisecond && w.profile.start <= 20*time.Millisecond
		if quick && w.config.DrainTimeout == 0 && w.c.highest == 1 {
			return fmt.Errorf("nothing is left to do since long, and it does not end before %s", w.c.m.drainBy)
		}
		return nil
	}
	w.orderly++
	// Before drainBy only a worker that drained already when the end was asked
	// for can be killed: its time is over earlier, and the exit status says so.
	if w.backlog > 0 || w.c.exit.Code != 0 && w.c.m.overran == 0 {
		return fmt.Errorf("%d connections were left in the queue, exit status %d", w.backlog, w.c.exit.Code)
	}
	return nil
}

// patience sees that nothing takes forever.
func (w *world) checkProgress(before State, ev Event) error {
	state := w.c.m.State()
	reloading := state == Reloading || state == Probation
	if _, ok := ev.(Scale); ok || !reloading || before != state {
		w.reloadSince = w.now
	}
	if reloading && w.now-w.reloadSince > 2*time.Minute {
		return fmt.Errorf("in state %s since %s", state, w.reloadSince)
	}
	if w.c.stopping && w.c.exit == nil {
		// Lame duck, drain, two kill delays, a spawn that was under way, and what
		// the defaults are.
		if w.now-w.c.stopAsked > 50*time.Second {
			return fmt.Errorf("does not end: asked at %s", w.c.stopAsked)
		}
	}
	return nil
}
