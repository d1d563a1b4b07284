package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"prefork/bench/internal/load"
	"prefork/bench/internal/stat"
)

// The servers' names, as the tables show them.
const (
	cepollName   = "C epoll"
	netName      = "Go net"
	threadName   = "prefork threading"
	forkName     = "prefork forking"
	pythonName   = "Python ForkingTCPServer"
	lineBytes    = 64
	quickWindow  = 100 * time.Millisecond
	exchangeRoom = 1 << 20
)

// comparison is a load that several servers get in turn.
type comparison struct {
	name  string
	title string
	unit  string // what one exchange is called
	job   load.Job
	base  []string // the servers that the others are divided by
}

// starter starts one of a comparison's servers.
type starter func(ctx context.Context) (*server, error)

// The loads of servers that hold many connections in one process.
var (
	echo = comparison{
		name: "echo", unit: "request",
		title: "64 connections that stay, lines of 64 bytes",
		base:  []string{cepollName, netName},
		job:   load.Job{Kind: load.Persistent, Connections: 64, Warmup: 6400, Window: time.Second},
	}
	connect = comparison{
		name: "connect", unit: "connection",
		title: "connect, one line of 64 bytes, close; 16 at once",
		base:  []string{cepollName, netName},
		job:   load.Job{Kind: load.Connect, Connections: 16, Warmup: 320, Window: 700 * time.Millisecond},
	}
)

func (b *bench) echo(ctx context.Context) error    { return b.compare(ctx, echo, b.threading()) }
func (b *bench) connect(ctx context.Context) error { return b.compare(ctx, connect, b.threading()) }

// controlClient is both of them with the client in C.
func (b *bench) controlClient(ctx context.Context) error {
	if b.cload == "" {
		return nil // the report says so
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
			base:  []string{pythonName},
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
			return b.startPeer(cepollName, b.cepoll)
		})
	}
	return append(servers,
		func(context.Context) (*server, error) { return b.startPeer(netName, b.netupper) },
		func(ctx context.Context) (*server, error) {
			return b.startPrefork(ctx, threadName, "--mode", "threading", "--workers", b.workers)
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
	t := newTable(c, servers, b.rounds)
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
			t.Rows[at].Samples = append(t.Rows[at].Samples, x)
			fmt.Fprintf(b.progress, "%s, round %d: %-24s %6.2f µs CPU, %7.0f %ss/s, others %2.0f%%\n",
				c.name, round+1, servers[at].name, x.CPU, x.Rate, c.unit, x.Others*100)
		}
	}
	t.sumUp(c.base)
	b.report.Comparisons = append(b.report.Comparisons, t)
	return nil
}

// sample is one server's part of one round.
type sample struct {
	Exchanges int     `json:"exchanges"`
	CPU       float64 `json:"cpu_us"` // of the server's process tree, per exchange
	Rate      float64 `json:"per_second"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	Others    float64 `json:"others"` // share of the machine that was neither the server's nor ours
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
		Exchanges: r.Exchanges,
		CPU:       micros(after-before) / float64(r.Exchanges),
		Rate:      float64(r.Exchanges) / r.Elapsed.Seconds(),
		P50:       micros(r.P50),
		P99:       micros(r.P99),
		Others:    max(0, others.Seconds()/capacity),
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

// table is a comparison's result.
type table struct {
	Name   string      `json:"name"`
	Title  string      `json:"title"`
	Unit   string      `json:"unit"`
	Rounds int         `json:"rounds"`
	Bases  []string    `json:"bases"`
	Rows   []row       `json:"servers"`
	Others stat.Spread `json:"others"`
}

// row is one server's result.
type row struct {
	Server  string                 `json:"server"`
	CPU     stat.Spread            `json:"cpu_us"`
	Ratios  map[string]stat.Spread `json:"cpu_ratio"` // by the server divided by, of the paired rounds
	Rate    stat.Spread            `json:"per_second"`
	P50     stat.Spread            `json:"p50_us"`
	P99     stat.Spread            `json:"p99_us"`
	Samples []sample               `json:"rounds"`
}

func newTable(c comparison, servers []*server, rounds int) table {
	t := table{Name: c.name, Title: c.title, Unit: c.unit, Rounds: rounds, Rows: make([]row, len(servers))}
	for i, s := range servers {
		t.Rows[i].Server = s.name
	}
	return t
}

// sumUp fills in everything that follows from the samples. Bases that took no
// part are left out.
func (t *table) sumUp(bases []string) {
	var others []float64
	column := func(r *row, f func(sample) float64) []float64 {
		values := make([]float64, len(r.Samples))
		for i, x := range r.Samples {
			values[i] = f(x)
		}
		return values
	}
	cpuOf := func(x sample) float64 { return x.CPU }
	for i := range t.Rows {
		r := &t.Rows[i]
		r.CPU = stat.Of(column(r, cpuOf))
		r.Rate = stat.Of(column(r, func(x sample) float64 { return x.Rate }))
		r.P50 = stat.Of(column(r, func(x sample) float64 { return x.P50 }))
		r.P99 = stat.Of(column(r, func(x sample) float64 { return x.P99 }))
		others = append(others, column(r, func(x sample) float64 { return x.Others })...)
		r.Ratios = map[string]stat.Spread{}
	}
	t.Others = stat.Of(others)
	for _, name := range bases {
		for i := range t.Rows {
			if t.Rows[i].Server != name {
				continue
			}
			t.Bases = append(t.Bases, name)
			base := column(&t.Rows[i], cpuOf)
			for j := range t.Rows {
				t.Rows[j].Ratios[name] = stat.Of(stat.Ratios(column(&t.Rows[j], cpuOf), base))
			}
		}
	}
}
