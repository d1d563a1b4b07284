package policy

import "fmt"

// worker returns the shadow for an action.
func (c *checker) worker(id ID) (*shadow, error) {
	w := c.workers[id]
	switch {
	case w == nil:
		return nil, fmt.Errorf("no such worker")
	case !w.spawned:
		return nil, fmt.Errorf("not spawned yet")
	case w.killed:
		return nil, fmt.Errorf("killed before")
	}
	return w, nil
}

func check(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// action checks one action and updates the checker's state.
func (c *checker) action(a Action) error {
	switch a := a.(type) {
	case Spawn:
		return c.spawn(a)
	case Listen:
		fine := !c.asked[a.Generation] && !c.listening[a.Generation] && !c.retired[a.Generation]
		c.asked[a.Generation] = true
		return check(fine, "asked before")
	case Accept:
		return c.accept(a)
	case DrainWorker:
		return c.drain(a)
	case LameDuck:
		w, err := c.worker(a.ID)
		if err != nil {
			return err
		}
		// A dying worker may get it too.
		fine := c.stopping && w.ready && !w.lame && !w.stopped
		w.lame = true
		return check(fine, "notified twice, or without an end")
	case StopWorker:
		w, err := c.worker(a.ID)
		if err != nil {
			return err
		}
		fine := !w.stopped
		w.stopped, w.accepting, w.held = true, false, false
		return check(fine, "stopped before")
	case Dump:
		w, err := c.worker(a.ID)
		if err != nil {
			return err
		}
		fine := !w.dumped && !w.hung && !w.stopped
		if w.ready {
			w.hung = true // it may recover, and then follows its last order
		} else {
			w.dumped, w.accepting, w.held = true, false, false
		}
		return check(fine, "dumped or stopped before")
	case Kill:
		w, err := c.worker(a.ID)
		if err != nil {
			return err
		}
		w.killed, w.accepting, w.held = true, false, false
		return check(w.stopped || w.draining || w.dumped || w.hung || w.dying || c.state == Draining, "killed out of the blue")
	case Quiesce, Commit, Retire:
		return c.generation(a)
	case Load:
		fine := !c.loading
		c.loading = true
		c.covered += c.waiting
		c.waiting = 0
		return check(fine, "the last load is not answered")
	case Answer:
		_, waits := c.requests[a.Request]
		delete(c.requests, a.Request)
		return check(waits, "no client waits for the answer")
	case Verdict:
		if c.loading {
			c.unloaded++
		}
		c.loading = false // the load, if any, is cancelled
		answered := c.covered
		c.covered = 0
		if answered == 0 {
			answered, c.waiting = c.waiting, 0
		}
		return check(answered > 0, "no client waits for the answer")
	case Note:
		if a.Message == "worker recovered" {
			c.recovered++
		}
	case Notify:
		if a.State == NotifyStopping {
			c.stopped++
		}
		return check(c.stopped <= 1, "said twice")
	case KillLeftovers:
		fine := c.leftovers && c.m.now >= leftoverGrace
		c.leftovers = false
		return check(fine, "there are none, or they have their time")
	case Exit:
		c.exit = &a
		if c.m.overran > 0 || !c.leftovers {
			return check(a.Leftovers == 0, "time for those that are not there")
		}
		return check(len(c.workers) == 0, "%d workers live", len(c.workers))
	}
	return nil
}

func (c *checker) spawn(a Spawn) error {
	c.spawns++
	switch {
	case a.ID <= c.lastID:
		return fmt.Errorf("id used before")
	case a.Slot < 0 || a.Slot >= c.slots:
		return fmt.Errorf("slot out of range")
	case c.owner[a.Slot] != 0:
		return fmt.Errorf("slot has worker %d", c.owner[a.Slot])
	case c.retired[a.Generation] || a.Generation > c.highest:
		return fmt.Errorf("generation is retired or unknown")
	}
	c.lastID = a.ID
	c.owner[a.Slot] = a.ID
	c.living[a.Generation]++
	c.workers[a.ID] = &shadow{id: a.ID, slot: a.Slot, gen: a.Generation}
	return nil
}

func (c *checker) accept(a Accept) error {
	w, err := c.worker(a.ID)
	if err != nil {
		return err
	}
	if !c.listening[w.gen] && !c.wild {
		return fmt.Errorf("generation %d does not listen", w.gen)
	}
	fine := w.ready && !w.draining && !w.stopped && !w.dying && (w.held || !w.accepting)
	w.held = false
	w.accepting = !w.busy
	if w.gen != c.committed {
		return fmt.Errorf("generation %d serves", c.committed)
	}
	return check(fine, "not in a state to accept")
}

func (c *checker) drain(a DrainWorker) error {
	w, err := c.worker(a.ID)
	if err != nil {
		return err
	}
	if !w.ready || w.draining || w.stopped || w.dying {
		return fmt.Errorf("not in a state to drain")
	}
	if a.Hold {
		fine := !w.held && w.gen < c.committed && a.Timeout == 0 && !a.TakeQueued
		w.held = true
		return check(fine, "held before its successor was committed, or twice")
	}
	w.draining, w.accepting, w.held = true, false, false
	if a.Timeout <= 0 {
		return fmt.Errorf("no time to drain")
	}
	if !a.TakeQueued {
		return nil
	}
	if !c.quiesced[w.gen] {
		return fmt.Errorf("its queue was not quiesced")
	}
	return check(w.gen != c.committed || c.stopping, "generation %d serves", c.committed)
}

// generation checks the actions on generations.
func (c *checker) generation(a Action) error {
	switch a := a.(type) {
	case Quiesce:
		again := c.quiesced[a.Generation]
		c.quiesced[a.Generation] = true
		return check(!again && !c.retired[a.Generation] && a.Generation <= c.highest, "quiesced twice, or after it retired")
	case Commit:
		fine := !c.retired[a.Generation] && a.Generation != c.committed && a.Generation <= c.highest
		c.committed = a.Generation
		return check(fine, "cannot be committed")
	case Retire:
		fine := !c.retired[a.Generation] && c.living[a.Generation] == 0 && a.Generation != c.committed && a.Generation <= c.highest
		c.retired[a.Generation] = true
		return check(fine, "retired twice, or with %d workers, or it serves", c.living[a.Generation])
	}
	return nil
}
