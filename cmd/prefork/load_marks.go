package main

import (
	"context"
	"fmt"
	"time"

	"prefork"
	"prefork/cmd/prefork/internal/control"
	"prefork/internal/load"
)

// How often the server is asked for its status, and how long it has to answer.
const (
	markEvery    = 200 * time.Millisecond
	markPatience = 2 * time.Second
)

// marker turns the status of a server into marks of a run. One goroutine uses it.
type marker struct {
	client *control.Client
	last   prefork.Status
	silent bool // it did not answer
}

// newMarker asks for the first status, so that a wrong path is found before the
// load begins.
func newMarker(ctx context.Context, path string) (*marker, error) {
	m := &marker{client: control.NewClient(path)}
	var err error
	if m.last, err = m.status(ctx); err != nil {
		m.close()
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	return m, nil
}

func (m *marker) close() { m.client.Close() }

func (m *marker) status(ctx context.Context) (prefork.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, markPatience)
	defer cancel()
	s, _, err := m.client.Status(ctx)
	return s, err
}

func (m *marker) work(ctx context.Context, run *load.Run) {
	ticker := time.NewTicker(markEvery)
	defer ticker.Stop()
	for {
		select {
		case <-run.Done():
			return
		case <-ticker.C:
			m.look(ctx, run.Mark)
		}
	}
}

// look marks what has changed since the last look.
func (m *marker) look(ctx context.Context, mark func(kind, text string)) {
	s, err := m.status(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		if !m.silent {
			mark("other", "the control socket does not answer")
		}
		m.silent = true
		return
	}
	if m.silent {
		mark("other", "the control socket answers again")
		m.silent = false
	}
	compareStatus(m.last, s, mark)
	m.last = s
}

// compareStatus marks what happened between two answers.
func compareStatus(before, now prefork.Status, mark func(kind, text string)) {
	if now.PID != before.PID {
		mark("other", fmt.Sprintf("another server answers, pid %d", now.PID))
		return
	}
	// Each reload has its mark, even if there were several between two looks.
	for n := takenOver(now) - takenOver(before); n > 0; n-- {
		mark("reload", fmt.Sprintf("generation %d", now.Generation-n+1))
	}
	last := now.LastReload
	if at := last.At; at != nil && !last.OK && (before.LastReload.At == nil || !at.Equal(*before.LastReload.At)) {
		mark("reload_failed", last.Error)
	}
	if n := now.Totals.Restarts; n > before.Totals.Restarts {
		mark("worker_death", fmt.Sprintf("%d lost so far", n))
	}
	if now.State != before.State && ends(now.State) {
		mark("other", "the server is "+now.State)
	}
}

// takenOver is how many generations have taken over, that on probation included.
func takenOver(s prefork.Status) int {
	n := int(s.Reloads.OK)
	if s.State == "probation" {
		n++
	}
	return n
}

// ends says whether a server in this state is ending. The states of a reload need
// no mark besides that of the reload.
func ends(state string) bool { return state == "draining" || state == "killing" || state == "stopped" }
