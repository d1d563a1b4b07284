package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	restWindow    = time.Second
	statusWorkers = 256
	statusTimes   = 20 // of each round
	quickWorkers  = 16
)

// masterIdle counts how often the processes of an idle prefork wake up.
func (b *bench) masterIdle(ctx context.Context) error {
	t := b.suite("master-idle", "how often an idle prefork of 2 workers wakes up", "process", mIdle)
	t.Load = "threads that went to sleep by themselves, in windows of a second, without clients"
	t.Rows = []row{{Name: masterName, Ours: true}}
	window := restWindow
	if b.quick {
		window = quickWindow
	}
	for _, p := range []starter{b.threading(several), b.event(several)} {
		if p.missing != "" {
			t.skip(p.name, p.missing)
			continue
		}
		if err := b.idleWakes(ctx, &t, p, window); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	b.report.Suites = append(b.report.Suites, t)
	return nil
}

// idleWakes adds a row for a worker, and the first time the values of the master.
func (b *bench) idleWakes(ctx context.Context, t *suite, p starter, window time.Duration) error {
	s, err := p.start(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	st, err := s.control.status(ctx)
	if err != nil {
		return err
	}
	if len(st.Workers) == 0 {
		return fmt.Errorf("no workers in %+v", st)
	}
	s.control.close() // an open connection would be one more thing to watch
	worker := row{Name: p.name + ", a worker", Ours: true}
	measureMaster := len(t.Rows[0].Values) == 0
	if _, err := settled(s.pid); err != nil {
		return err
	}
	for range b.rounds {
		for _, x := range []struct {
			pid int
			to  *row
			yes bool
		}{{s.pid, &t.Rows[0], measureMaster}, {st.Workers[0].PID, &worker, true}} {
			if !x.yes {
				continue
			}
			before, err := sleeps(x.pid)
			if err != nil {
				return err
			}
			began := time.Now()
			select {
			case <-time.After(window):
			case <-ctx.Done():
				return ctx.Err()
			}
			after, err := sleeps(x.pid)
			if err != nil {
				return err
			}
			x.to.add(mIdle, float64(after-before)/time.Since(began).Seconds())
		}
	}
	t.Rows = append(t.Rows, worker)
	return nil
}

// statusOfMany times the status of a master with many workers.
func (b *bench) statusOfMany(ctx context.Context) error {
	workers := statusWorkers
	if b.quick {
		workers = quickWorkers
	}
	s, err := b.startPrefork(ctx, statusName, "--mode", "threading", "--workers", strconv.Itoa(workers))
	if err != nil {
		return err
	}
	defer s.stop()
	err = s.poll(ctx, func(ctx context.Context) (bool, error) {
		st, err := s.control.status(ctx)
		ready := 0
		for _, w := range st.Workers {
			if w.State == "ready" {
				ready++
			}
		}
		return ready == workers, err
	})
	if err != nil {
		return fmt.Errorf("wait for %d workers: %w", workers, err)
	}
	t := b.suite("status", "GET /v1/status", "status", mP50ms)
	t.Load = fmt.Sprintf("on the control socket, %d a round, one after the other; the time until the last byte", statusTimes)
	times := make([]time.Duration, 0, b.rounds*statusTimes)
	for range cap(times) {
		d, err := s.control.timeStatus(ctx)
		if err != nil {
			return err
		}
		times = append(times, d)
	}
	t.Rows = []row{{Name: statusName, Ours: true, Times: inMillis(times)}}
	b.report.Suites = append(b.report.Suites, t)
	return nil
}

// timeStatus returns how long a status takes, without decoding it.
func (c *control) timeStatus(ctx context.Context) (time.Duration, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://prefork/v1/status", nil)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	response, err := c.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}
