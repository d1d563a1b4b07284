package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

const (
	reloads      = 35
	quickReloads = 4
	// The old generation is kept for the probation. It is not in the figure, and so is
	// as short as a client of this program can see it.
	probation = "20ms"
)

// reload measures the time from HUP to the master of four workers until a new
// generation of four accepts, by the time in the master's log.
func (b *bench) reload(ctx context.Context) error {
	n := reloads
	if b.quick {
		n = quickReloads
	}
	s, err := b.startPrefork(ctx, reloadName, "--mode", "threading", "--workers", "4", "--probation", probation)
	if err != nil {
		return err
	}
	defer s.stop()
	var times, starts []time.Duration
	for generation := 2; generation < n+2; generation++ {
		began := time.Now()
		if err := syscall.Kill(s.pid, syscall.SIGHUP); err != nil {
			return fmt.Errorf("send HUP: %w", err)
		}
		var g generationLog
		err := s.poll(ctx, func(context.Context) (bool, error) {
			var err error
			g, err = readGeneration(s.log, generation)
			return g.done, err
		})
		if err != nil {
			return fmt.Errorf("reload %d: %w", generation-1, err)
		}
		if err := exchange(s.address); err != nil {
			return fmt.Errorf("after reload %d: %w", generation-1, err)
		}
		times = append(times, g.accepts.Sub(began))
		starts = append(starts, g.slowest)
	}
	t := b.suite("reload", "HUP to a new generation of 4 workers that accepts", "reload", mP50ms)
	t.Load = "one reload at a time, without clients; the probation that follows is not in it"
	t.Rows = []row{
		{Name: reloadName, Ours: true, Times: inMillis(times)},
		{Name: slowestName, Ours: true, Times: inMillis(starts)},
	}
	b.report.Suites = append(b.report.Suites, t)
	return nil
}

// generationLog is what a master's log says of one generation.
type generationLog struct {
	accepts time.Time     // its probation began
	slowest time.Duration // of its workers, from spawn to Ready
	done    bool          // the reload is
}

// readGeneration reads the log of a master that is still writing it.
func readGeneration(path string, generation int) (generationLog, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return generationLog{}, err
	}
	var g generationLog
	for line := range bytes.Lines(data) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		var entry struct {
			At         time.Time `json:"ts"`
			Message    string    `json:"msg"`
			Generation int       `json:"generation"`
			Duration   float64   `json:"duration_s"`
		}
		if err := json.Unmarshal(line, &entry); err != nil {
			return g, fmt.Errorf("log line %q: %w", line, err)
		}
		if entry.Generation != generation {
			continue
		}
		switch entry.Message {
		case "worker ready":
			g.slowest = max(g.slowest, time.Duration(entry.Duration*float64(time.Second)))
		case "generation on probation":
			g.accepts = entry.At
		case "reload done":
			g.done = true
		}
	}
	if g.done && g.accepts.IsZero() {
		return g, errors.New("a reload was done without probation")
	}
	return g, nil
}
