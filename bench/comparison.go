package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"prefork/bench/internal/load"
	"prefork/internal/cpu"
)

const (
	lineBytes    = 64
	quickWindow  = 50 * time.Millisecond
	exchangeRoom = 4 << 20
)

// comparison is a load that several servers get in turn.
type comparison struct {
	name    string
	title   string
	load    string // what the client does, in words
	unit    string // what one exchange is called
	main    string // the metric of the chart; "" is the CPU time
	job     load.Job
	control string // the row of the line of the limit
	pairs   []pair
	floors  []floor // programs that are run in each round, beside the servers
}

// compare starts the servers, runs the rounds and adds the suite. A server that is
// missing is left out, and the suite says why.
func (b *bench) compare(ctx context.Context, c comparison, starters []starter) error {
	if !b.wants(c.name) {
		return nil
	}
	c.job.Limit = exchangeRoom
	if c.job.Path == "" && c.job.Bytes == 0 {
		c.job.Bytes = lineBytes
	}
	if b.quick {
		c.job.Window = quickWindow
	}
	t := b.suite(c.name, c.title, c.unit, cmp.Or(c.main, mCPU))
	t.Load, t.Control, t.Pairs = c.load, c.control, c.pairs
	servers, stop, err := b.startAll(ctx, &t, starters)
	defer stop()
	if err != nil {
		return err
	}
	for _, f := range c.floors {
		t.Rows = append(t.Rows, row{Name: f.name})
	}
	for round := range b.rounds {
		for i := range t.Rows {
			at := (round + i) % len(t.Rows)
			if err := ctx.Err(); err != nil {
				return err
			}
			if at >= len(servers) {
				if err := c.floors[at-len(servers)].addTo(&t.Rows[at]); err != nil {
					return err
				}
				continue
			}
			s := servers[at]
			x, err := measure(s, c.job, round)
			if err != nil {
				return fmt.Errorf("%s, round %d: %w\n%s", s.name, round+1, err, s.tail())
			}
			x.addTo(&t.Rows[at])
			t.Others = append(t.Others, x.Others)
			fmt.Fprintf(b.progress, "%s, round %d: %-24s %6.2f µs CPU, %7.0f %ss/s, p99 %.0f µs, others %2.0f%%\n",
				c.name, round+1, s.name, x.CPU, x.Rate, c.unit, x.P99, x.Others*100)
		}
	}
	b.report.Suites = append(b.report.Suites, t)
	return nil
}

// startAll starts the servers and adds a row for each. What it returns stops them.
func (b *bench) startAll(ctx context.Context, t *suite, starters []starter) (servers []*server, stop func(), err error) {
	stop = func() {
		for _, s := range servers {
			s.stop()
		}
	}
	for _, p := range starters {
		if p.missing != "" {
			t.skip(p.name, p.missing)
			continue
		}
		s, err := p.start(ctx)
		if err != nil {
			return servers, stop, err
		}
		servers = append(servers, s)
		t.Rows = append(t.Rows, row{Name: s.name, Ours: s.control != nil})
	}
	return servers, stop, nil
}

// sample is one server's part of one round.
type sample struct {
	CPU    float64 // of the server's process tree, per exchange, in µs
	Rate   float64
	P50    float64 // µs
	P99    float64
	Others float64 // share of the machine that was neither the server's nor ours
}

func (x sample) addTo(r *row) {
	r.add(mCPU, x.CPU)
	r.add(mRate, x.Rate)
	r.add(mP50, x.P50)
	r.add(mP99, x.P99)
}

// errNoExchange says that no exchange ended within the window, or that they cost less
// than a tick.
var errNoExchange = errors.New("window is too short")

// maxWindow bounds the windows that measure tries.
const maxWindow = 2 * time.Second

// measure lets one load process run its window against s. On a busy machine the window
// may be too short; then the next one is longer.
func measure(s *server, job load.Job, round int) (sample, error) {
	for {
		x, err := measureOnce(s, job, round)
		job.Window *= 2
		if !errors.Is(err, errNoExchange) || job.Window > maxWindow {
			return x, err
		}
	}
}

func measureOnce(s *server, job load.Job, round int) (sample, error) {
	job.Address = s.address
	if job.Kind == load.Connect {
		// Its own ports for each round: none is taken by an earlier one's
		// TIME_WAIT.
		job.Source = fmt.Sprintf("127.0.0.%d", 10+round)
	}
	p, err := load.Start(job)
	if err != nil {
		return sample{}, err
	}
	x, err := watch(s, job, p)
	return x, errors.Join(err, p.Close())
}

// watch reads the accounts before and after the window. Of connections that stay the
// load process knows the server's part; what is read here is for the share of others.
func watch(s *server, job load.Job, p *load.Process) (sample, error) {
	read := settled
	if job.Kind == load.Persistent && job.Control == "" {
		read = cpu.Tree
	}
	before, err := read(s.pid)
	if err != nil {
		return sample{}, err
	}
	machine, err := machineCPU()
	if err != nil {
		return sample{}, err
	}
	own, began := ownCPU(), time.Now()
	r, err := p.Run()
	if err != nil {
		return sample{}, err
	}
	after, err := read(s.pid)
	if err != nil {
		return sample{}, err
	}
	machineAfter, err := machineCPU()
	if err != nil {
		return sample{}, err
	}
	used := r.Server
	if job.Kind == load.Connect || job.Control != "" {
		used = after - before
	}
	if r.Exchanges == 0 || used <= 0 {
		return sample{}, fmt.Errorf("%d exchanges in %v of CPU time: %w", r.Exchanges, used, errNoExchange)
	}
	others := machineAfter - machine - (after - before) - r.CPU - (ownCPU() - own)
	capacity := time.Since(began).Seconds() * float64(processors())
	return sample{
		CPU:    micros(used) / float64(r.Exchanges),
		Rate:   float64(r.Exchanges) / r.Elapsed.Seconds(),
		P50:    micros(r.P50),
		P99:    micros(r.P99),
		Others: max(0, others.Seconds()/capacity),
	}, nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// ownCPU is what this program has used, without its children.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
