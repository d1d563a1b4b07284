package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"prefork/bench/internal/load"
	"prefork/internal/cpu"
)

const (
	shortConnections = 3000
	longConnections  = 400
	fewConnections   = 16
	fewTimes         = 5 // in each round, of which the worst is kept
	quickShort       = 200
)

// spreader is a server whose connections are counted by worker.
type spreader struct {
	*server
	workers int
}

// skew measures how connections spread over workers: the busiest worker's share, and
// how often workers are woken for one. Short connections are counted by the status, so
// only prefork has a row; those that stay by the descriptors of each process.
func (b *bench) skew(ctx context.Context) error {
	short := shortConnections
	if b.quick {
		short = quickShort
	}
	ours := []starter{b.threading(4), b.threading(8), b.event(4), b.event(8)}
	all := append(slices.Clone(ours), b.epollPeer(4), b.netPeer(4))
	for _, s := range []struct {
		name, title, load, main string
		servers                 []starter
		once                    func(s *spreader, r *row) error
	}{
		{
			"skew-short", "3,000 short connections, one at a time",
			"connect, one line, close; wake-ups are those of the threads that wait for the listener, of 400 connections that come one at a time and stay",
			mSkew, ours, func(s *spreader, r *row) error {
				return errors.Join(s.short(r, 1, short), s.wakes(r))
			},
		},
		{
			"skew-flight", "3,000 short connections, 16 at once", "connect, one line, close",
			mSkew, ours, func(s *spreader, r *row) error { return s.short(r, 16, short) },
		},
		{
			"skew-long", "400 connections that stay", "up to 64 connects at once; C epoll and Go net have a listener a process, and the kernel's hash spreads the connections",
			mSkew, all, func(s *spreader, r *row) error { return s.long(r) },
		},
		{
			"skew-few", "16 connections at once that stay", fmt.Sprintf("the worst of %d times a round", fewTimes),
			mOver, all, func(s *spreader, r *row) error { return s.few(r) },
		},
	} {
		if !b.wants(s.name) {
			continue
		}
		t := b.suite(s.name, s.title, "connection", s.main)
		t.Load = s.load
		if err := b.spreads(ctx, &t, s.servers, s.once); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		b.report.Suites = append(b.report.Suites, t)
	}
	return nil
}

// spreads starts the servers and runs the rounds of a suite.
func (b *bench) spreads(ctx context.Context, t *suite, starters []starter, once func(s *spreader, r *row) error) error {
	servers, stop, err := b.startAll(ctx, t, starters)
	defer stop()
	if err != nil {
		return err
	}
	for round := range b.rounds {
		for i := range servers {
			at := (round + i) % len(servers)
			if err := ctx.Err(); err != nil {
				return err
			}
			s := &spreader{server: servers[at]}
			if _, err := fmt.Sscanf(s.name[strings.LastIndex(s.name, "×"):], "×%d", &s.workers); err != nil {
				return fmt.Errorf("number of workers of %q: %w", s.name, err)
			}
			r := &t.Rows[at]
			if err := once(s, r); err != nil {
				return fmt.Errorf("%s, round %d: %w\n%s", s.name, round+1, err, s.tail())
			}
			fmt.Fprintf(b.progress, "%s, round %d: %-24s %.2f\n", t.Name, round+1, s.name, r.Values[t.Main][round])
		}
	}
	return nil
}

// short counts the accepts of each worker.
func (s *spreader) short(r *row, atOnce, connections int) error {
	before, err := s.accepted()
	if err != nil {
		return err
	}
	job := load.Job{
		Address: s.address, Kind: load.Connect, Connections: atOnce, Bytes: lineBytes, Window: 10 * time.Second, Limit: connections,
	}
	p, err := load.Start(job)
	if err != nil {
		return err
	}
	_, err = p.Run()
	if err = errors.Join(err, p.Close()); err != nil {
		return err
	}
	after, err := s.accepted()
	if err != nil {
		return err
	}
	var each []int
	for pid, n := range after {
		each = append(each, n-before[pid])
	}
	r.add(mSkew, s.busiest(each)/s.mean(each))
	return nil
}

// accepted returns the status's count of each worker, by its PID.
func (s *spreader) accepted() (map[int]int, error) {
	st, err := s.control.status(context.Background())
	if err != nil {
		return nil, err
	}
	counts := map[int]int{}
	for _, w := range st.Workers {
		counts[w.PID] = w.Accepted
	}
	return counts, nil
}

func (s *spreader) busiest(each []int) float64 { return float64(slices.Max(each)) }

func (s *spreader) mean(each []int) float64 {
	sum := 0
	for _, n := range each {
		sum += n
	}
	return float64(sum) / float64(s.workers)
}

func (s *spreader) long(r *row) error {
	each, err := s.stay(longConnections)
	if err != nil {
		return err
	}
	r.add(mSkew, s.busiest(each)/s.mean(each))
	return nil
}

func (s *spreader) few(r *row) error {
	worst := 0.0
	for range fewTimes {
		each, err := s.stay(fewConnections)
		if err != nil {
			return err
		}
		worst = max(worst, s.busiest(each)-s.mean(each))
	}
	r.add(mOver, worst)
	return nil
}

// stay holds connections, and returns how many the processes have that have any.
func (s *spreader) stay(connections int) ([]int, error) {
	before, err := filesOf(s.pid)
	if err != nil {
		return nil, err
	}
	p, err := load.Start(load.Job{
		Address: s.address, Kind: load.Hold, Connections: connections, Bytes: lineBytes, Window: holdTime, Limit: exchangeRoom,
	})
	if err != nil {
		return nil, err
	}
	each, err := gained(s.pid, before)
	if err = errors.Join(err, p.Close()); err != nil {
		return nil, err
	}
	sum := 0
	for _, n := range each {
		sum += n
	}
	if sum != connections {
		return nil, fmt.Errorf("the processes have %v descriptors more, want %d in all", each, connections)
	}
	return each, s.gone(before)
}

// gone waits until the server has closed the connections.
func (s *spreader) gone(before map[int]int) error {
	return s.poll(context.Background(), func(context.Context) (bool, error) {
		left, err := gained(s.pid, before)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("the processes still have %v descriptors more", left)
		}
		return err == nil, err
	})
}

// wakes opens connections one at a time and counts how often the threads that wait for
// the listener were woken. A connection says nothing, so no other event wakes them.
func (s *spreader) wakes(r *row) error {
	sockets, err := listeningSockets(s.address)
	if err != nil {
		return err
	}
	if _, err := settled(s.pid); err != nil {
		return err
	}
	threads, err := s.waiting(sockets)
	if err != nil {
		return err
	}
	files, err := filesOf(s.pid)
	if err != nil {
		return err
	}
	before, err := sleepsOf(threads)
	if err != nil {
		return err
	}
	err = s.oneAtATime(longConnections, func() error {
		after, err := sleepsOf(threads)
		if err == nil {
			r.add(mWakes, float64(after-before)/longConnections)
		}
		return err
	})
	return errors.Join(err, s.gone(files))
}

// waiting returns the threads that wait for the listener, one of each worker. A worker
// is not among them while it does something else, such as its periodic work.
func (s *spreader) waiting(sockets []string) (threads []string, err error) {
	err = s.poll(context.Background(), func(context.Context) (bool, error) {
		members, err := cpu.Members(s.pid)
		if err != nil {
			return false, err
		}
		threads = nil
		for _, pid := range members {
			threads = append(threads, acceptThreads(pid, sockets)...)
		}
		if len(threads) != s.workers {
			return false, fmt.Errorf("%d threads wait for the listener, want %d", len(threads), s.workers)
		}
		return true, nil
	})
	return threads, err
}

func sleepsOf(threads []string) (sum int64, err error) {
	for _, task := range threads {
		n, err := field(task+"/status", "voluntary_ctxt_switches")
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}
