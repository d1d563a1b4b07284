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
	restBefore    = 12 * time.Second
	restWindow    = time.Second
	statusWorkers = 256
	statusTimes   = 20 // of each round
	quickWorkers  = 16
)

// resting is a process of an idle prefork.
type resting struct {
	pid    int
	before int64
}

// masterIdle counts how often the processes of an idle prefork wake up. They are left
// alone for some time before, because a master looks at its workers more often while
// something happens.
func (b *bench) masterIdle(ctx context.Context) error {
	t := b.suite("master-idle", "how often an idle prefork of 2 workers wakes up", "process", mIdle)
	t.Load = fmt.Sprintf("threads that went to sleep by themselves, in windows of %v, without clients; %v after the start", restWindow, restBefore)
	before, window := restBefore, restWindow
	if b.quick {
		before, window = quickWindow, quickWindow
	}
	var processes []*resting
	for _, p := range []starter{b.threading(several), b.event(several)} {
		if p.missing != "" {
			t.skip(p.name, p.missing)
			continue
		}
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
			return fmt.Errorf("%s: no workers in %+v", p.name, st)
		}
		s.control.close() // an open connection would be one more thing to watch
		if len(t.Rows) == 0 {
			t.Rows = append(t.Rows, row{Name: masterName, Ours: true})
			processes = append(processes, &resting{pid: s.pid})
		}
		t.Rows = append(t.Rows, row{Name: p.name + ", a worker", Ours: true})
		processes = append(processes, &resting{pid: st.Workers[0].PID})
	}
	if err := rest(ctx, before); err != nil {
		return err
	}
	for range b.rounds {
		if err := restRound(ctx, processes, window, &t); err != nil {
			return err
		}
	}
	b.report.Suites = append(b.report.Suites, t)
	return nil
}

// restRound adds one value to the row of each process.
func restRound(ctx context.Context, processes []*resting, window time.Duration, t *suite) (err error) {
	for _, p := range processes {
		if p.before, err = sleeps(p.pid); err != nil {
			return err
		}
	}
	began := time.Now()
	if err := rest(ctx, window); err != nil {
		return err
	}
	for i, p := range processes {
		after, err := sleeps(p.pid)
		if err != nil {
			return err
		}
		t.Rows[i].add(mIdle, float64(after-p.before)/time.Since(began).Seconds())
	}
	return nil
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
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
