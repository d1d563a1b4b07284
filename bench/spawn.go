package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	spawns      = 250
	quickSpawns = 10
)

// spawn measures how long a worker takes from the master's decision to spawn
// it until its Ready, by the master's own clock, one worker at a time. The
// controls, start for start, are a plain Go process of package net until it says
// that it listens, and the whole life of an empty one.
func (b *bench) spawn(ctx context.Context) error {
	n := spawns
	if b.quick {
		n = quickSpawns
	}
	s, err := b.startPrefork(ctx, threading(1), "--mode", "threading", "--workers", "1")
	if err != nil {
		return err
	}
	defer s.stop()
	plain, empty := make([]time.Duration, 0, n), make([]time.Duration, 0, n)
	for range n {
		if err := recycleOne(ctx, s.control); err != nil {
			return fmt.Errorf("%w\n%s", err, s.tail())
		}
		d, err := startPlain(b.programs[netProgram])
		if err != nil {
			return err
		}
		plain = append(plain, d)
		began := time.Now()
		if err := exec.Command(b.programs[emptyProgram]).Run(); err != nil {
			return err
		}
		empty = append(empty, time.Since(began))
	}
	ready, err := readyTimes(s.log)
	if err != nil {
		return err
	}
	if len(ready) != n+1 {
		return fmt.Errorf("%d workers were ready, want %d", len(ready), n+1)
	}
	t := b.suite("spawn", "one process at a time, from spawn to ready", "process", mP50ms)
	t.Rows = []row{
		{Name: emptyGoName, Times: inMillis(empty)},
		{Name: plainName, Times: inMillis(plain)},
		{Name: spawnName, Ours: true, Times: inMillis(ready[1:])}, // the first was the boot
	}
	b.report.Suites = append(b.report.Suites, t)
	return nil
}

// inMillis is durations as the report keeps them.
func inMillis(times []time.Duration) []float64 {
	list := make([]float64, len(times))
	for i, d := range times {
		list[i] = micros(d) / 1000
	}
	return list
}

// recycleOne replaces the only worker, and returns when the old one is gone.
func recycleOne(ctx context.Context, c *control) error {
	st, err := c.status(ctx)
	if err != nil {
		return err
	}
	if len(st.Workers) != 1 {
		return fmt.Errorf("%d workers, want 1", len(st.Workers))
	}
	return c.command(ctx, fmt.Sprintf("recycle?slot=%d", st.Workers[0].Slot))
}

// startPlain times the start of a program until its first line.
func startPlain(path string) (time.Duration, error) {
	command := exec.Command(path)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := command.StdoutPipe()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := command.Start(); err != nil {
		return 0, err
	}
	_, err = announced(out)
	took := time.Since(began)
	_ = command.Process.Kill()
	_ = command.Wait() // killed
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", path, err)
	}
	return took, nil
}

// readyTimes reads from a master's log how long each worker took to be ready,
// in order.
func readyTimes(path string) ([]time.Duration, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var times []time.Duration
	for line := range bytes.Lines(data) {
		var entry struct {
			Message  string   `json:"msg"`
			Duration *float64 `json:"duration_s"`
		}
		if err := json.Unmarshal(line, &entry); err != nil {
			return nil, fmt.Errorf("log line %q: %w", line, err)
		}
		if entry.Message != "worker ready" {
			continue
		}
		if entry.Duration == nil {
			return nil, fmt.Errorf("log line %q has no duration_s", line)
		}
		times = append(times, time.Duration(*entry.Duration*float64(time.Second)))
	}
	return times, nil
}
