package policy

import (
	"fmt"
	"time"
)

// checkNothingDropped checks that a drain in a world without failures leaves no
// connection in the queue, if there was enough time.
func (w *world) checkNothingDropped() error {
	if w.c.exit == nil || !w.closed || !w.healthy || w.stopped || w.ends != 1 {
		return nil
	}
	if w.now >= w.c.m.drainBy {
		quick := w.profile.finish <= 100*time.Millisecond && w.profile.start <= 20*time.Millisecond
		if quick && w.config.DrainTimeout == 0 && w.c.highest == 1 {
			return fmt.Errorf("idle, but does not end before %s", w.c.m.drainBy)
		}
		return nil
	}
	w.orderly++
	// Before drainBy, only a worker can be killed that was already draining when
	// the end was requested. Its deadline is earlier, and the exit status is not 0.
	if w.backlog > 0 || w.c.exit.Code != 0 && w.c.m.overran == 0 {
		return fmt.Errorf("%d connections were left in the queue, exit status %d", w.backlog, w.c.exit.Code)
	}
	return nil
}

// checkProgress checks that reloads and the end do not take too long.
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
		// Lame duck, drain, two kill delays and a spawn in progress, at their
		// defaults.
		if w.now-w.c.stopAsked > 50*time.Second {
			return fmt.Errorf("has not ended: requested at %s", w.c.stopAsked)
		}
	}
	return nil
}
