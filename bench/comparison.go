package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"prefork/bench/internal/load"
)

const (
	lineBytes    = 64
	quickWindow  = 100 * time.Millisecond
	exchangeRoom = 1 << 20
	noCompiler   = "no C compiler on this machine"
)

// comparison is a load that several servers get in turn.
type comparison struct {
	name    string
	title   string
	unit    string // what one exchange is called
	job     load.Job
	control string // the row of the line of the limit
	pairs   []pair
}

// starter starts one of a comparison's servers.
type starter func(ctx context.Context) (*server, error)

// The loads of servers that hold many connections in one process.
var (
	echo = comparison{
		name: "echo", unit: "request",
		title:   "64 connections that stay, lines of 64 bytes",
		control: cEpoll(1),
		pairs:   []pair{{Of: threading(2), By: cEpoll(1)}, {Of: threading(2), By: goNet(1)}},
		job:     load.Job{Kind: load.Persistent, Connections: 64, Warmup: 6400, Window: time.Second},
	}
	connect = comparison{
		name: "connect", unit: "connection",
		title:   "connect, one line of 64 bytes, close; 16 at once",
		control: cEpoll(1),
		pairs:   []pair{{Of: threading(2), By: cEpoll(1)}, {Of: threading(2), By: goNet(1)}},
		job:     load.Job{Kind: load.Connect, Connections: 16, Warmup: 320, Window: 700 * time.Millisecond},
	}
)

func (b *bench) echo(ctx context.Context) error    { return b.compare(ctx, echo, b.threading()) }
func (b *bench) connect(ctx context.Context) error { return b.compare(ctx, connect, b.threading()) }

// controlClient is both of them with the client in C.
func (b *bench) controlClient(ctx context.Context) error {
	if b.cload == "" {
		s := b.suite("control", "echo and connect with a client in C", "request", mCPU)
		s.skip("the client in C", noCompiler)
		b.report.Suites = append(b.report.Suites, s)
		return nil
	}
	for _, c := range []comparison{echo, connect} {
		c.name += "-c"
		c.title += "; the client in C"
		c.job.Control = b.cload
		if err := b.compare(ctx, c, b.threading()); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) forking(ctx context.Context) error {
	var servers []starter
	if b.python != "" {
		servers = append(servers, func(context.Context) (*server, error) {
			return b.startPeer(pythonName, b.python, "peers/forking.py")
		})
	}
	servers = append(servers, func(ctx context.Context) (*server, error) {
		return b.startPrefork(ctx, forkName, "--mode", "forking")
	})
	for _, atOnce := range []int{1, 8} {
		err := b.compare(ctx, comparison{
			name: fmt.Sprintf("forking-%d", atOnce), unit: "connection",
			title: fmt.Sprintf("a process per connection: connect, one line of 64 bytes, close; %d at once", atOnce),
			pairs: []pair{{Of: forkName, By: pythonName}},
			job: load.Job{
				Kind: load.Connect, Connections: atOnce, Warmup: 4 * atOnce, Window: 700 * time.Millisecond,
			},
		}, servers)
		if err != nil {
			return err
		}
	}
	return nil
}

// threading returns the servers that hold many connections in one process.
func (b *bench) threading() []starter {
	var servers []starter
	if b.cepoll != "" {
		servers = append(servers, func(context.Context) (*server, error) {
			return b.startPeer(cEpoll(1), b.cepoll)
		})
	}
	return append(servers,
		func(context.Context) (*server, error) { return b.startPeer(goNet(1), b.netupper) },
		func(ctx context.Context) (*server, error) {
			return b.startPrefork(ctx, threading(2), "--mode", "threading", "--workers", b.workers)
		})
}

// compare starts the servers, runs the rounds and adds the table.
func (b *bench) compare(ctx context.Context, c comparison, starters []starter) error {
	c.job.Bytes, c.job.Limit = lineBytes, exchangeRoom
	if b.quick {
		c.job.Window = quickWindow
	}
	var servers []*server
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	for _, start := range starters {
		s, err := start(ctx)
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	t := b.suite(c.name, c.title, c.unit, mCPU)
	t.Control, t.Pairs = c.control, c.pairs
	if c.control == cEpoll(1) && b.cepoll == "" {
		t.skip(cEpoll(1), noCompiler)
	}
	if b.python == "" && strings.HasPrefix(c.name, "forking") {
		t.skip(pythonName, "no python3 on this machine")
	}
	for _, s := range servers {
		t.Rows = append(t.Rows, row{Name: s.name, Ours: s.control != nil})
	}
	for round := range b.rounds {
		for i := range servers {
			at := (round + i) % len(servers)
			if err := ctx.Err(); err != nil {
				return err
			}
			x, err := measure(servers[at], c.job, round)
			if err != nil {
				return fmt.Errorf("%s, round %d: %w\n%s", servers[at].name, round+1, err, servers[at].tail())
			}
			x.addTo(&t.Rows[at])
			t.Others = append(t.Others, x.Others)
			fmt.Fprintf(b.progress, "%s, round %d: %-24s %6.2f µs CPU, %7.0f %ss/s, others %2.0f%%\n",
				c.name, round+1, servers[at].name, x.CPU, x.Rate, c.unit, x.Others*100)
		}
	}
	b.report.Suites = append(b.report.Suites, t)
	return nil
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

// measure lets one load process run its window against s.
func measure(s *server, job load.Job, round int) (sample, error) {
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
	x, err := watch(s, p)
	return x, errors.Join(err, p.Close())
}

// watch reads the accounts before and after the window.
func watch(s *server, p *load.Process) (sample, error) {
	before, err := settled(s.pid)
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
	after, err := settled(s.pid)
	if err != nil {
		return sample{}, err
	}
	machineAfter, err := machineCPU()
	if err != nil {
		return sample{}, err
	}
	if r.Exchanges == 0 || after <= before {
		return sample{}, fmt.Errorf("%d exchanges in %v of CPU time", r.Exchanges, after-before)
	}
	others := machineAfter - machine - (after - before) - r.CPU - (ownCPU() - own)
	capacity := time.Since(began).Seconds() * float64(processors())
	return sample{
		CPU:    micros(after-before) / float64(r.Exchanges),
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
