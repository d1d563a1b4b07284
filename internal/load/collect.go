package load

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

type counts struct {
	requests, errors uint64
	connections      uint64
	in, out          uint64
}

func (c *counts) add(other *counts) {
	c.requests += other.requests
	c.errors += other.errors
	c.connections += other.connections
	c.in += other.in
	c.out += other.out
}

// made is how many exchanges have ended, with or without an error.
func (c *counts) made() uint64 { return c.requests + c.errors }

// part is what a loop measured in one second. It belongs to the loop until it
// is handed over, then to the collector.
type part struct {
	counts
	loop     int
	second   int
	last     bool // the loop has ended
	active   int
	standing int                     // with last
	whole    *latencies              // with last: of the whole window
	latency  *hdrhistogram.Histogram // of the second, in a coarse histogram
	max      int64                   // of latency
}

func newPart(loop int) *part { return &part{loop: loop, latency: newHistogram(coarse)} }

func (p *part) record(ns int64) {
	record(p.latency, ns)
	p.max = max(p.max, ns)
}

// add takes in what another loop measured in the same second.
func (p *part) add(other *part) {
	p.counts.add(&other.counts)
	p.latency.Merge(other.latency)
	p.max = max(p.max, other.max)
}

// collector puts the parts of all loops together, second by second. It shares
// the processors with the loops and perhaps with the server, so it does little in
// a second. One goroutine owns all of it but latest.
type collector struct {
	run     *Run
	total   counts
	whole   *latencies
	seconds map[int]*part // not all loops are past these
	reached []int         // the second that each loop is in
	active  []int
	series  []Second
	stood   int

	latest atomic.Pointer[Second]
}

func newCollector(r *Run) *collector {
	return &collector{
		run: r, whole: newLatencies(r.plan.open()), seconds: make(map[int]*part),
		reached: make([]int, r.plan.Loops), active: make([]int, r.plan.Loops),
	}
}

// work takes parts until every loop has ended.
func (c *collector) work(parts <-chan *part) {
	for running := c.run.plan.Loops; running > 0; {
		p := <-parts
		c.active[p.loop] = p.active
		c.reached[p.loop] = p.second + 1
		if p.last {
			running--
			c.stood += p.standing
			c.whole.merge(p.whole)
			c.reached[p.loop] = math.MaxInt
		}
		if sum := c.seconds[p.second]; sum != nil {
			sum.add(p)
		} else {
			c.seconds[p.second] = p
		}
		c.complete(running == 0)
	}
}

// complete ends the seconds that all loops have finished.
func (c *collector) complete(all bool) {
	past := math.MaxInt // of which all is whole
	for _, second := range c.reached {
		past = min(past, second)
	}
	end := past
	if all {
		end = 0
		for second := range c.seconds {
			end = max(end, second+1)
		}
	}
	for second := len(c.series); second < end; second++ {
		p := c.seconds[second]
		if p == nil {
			p = newPart(0)
		}
		delete(c.seconds, second)
		c.second(second, p)
	}
}

func (c *collector) second(at int, p *part) {
	s := Second{AtS: float64(at), Requests: p.requests, Errors: p.errors}
	for _, n := range c.active {
		s.Active += n
	}
	c.total.add(&p.counts)
	h := p.latency
	if !c.run.plan.open() {
		h = newHistogram(coarse)
		correct(h, p.latency, c.run.cycle(&c.total, int64(at+1)*int64(time.Second)))
	}
	if p.requests > 0 {
		at := func(quantile float64) float64 { return seconds(min(h.ValueAtQuantile(quantile), p.max)) }
		s.P50S, s.P99S, s.MaxS = at(50), at(99), seconds(p.max)
	}
	c.series = append(c.series, s)
	c.latest.Store(&s)
}

// cycle returns the mean time from one request of a connection to the next.
func (r *Run) cycle(total *counts, elapsed int64) int64 {
	n := total.made()
	if n == 0 {
		return 0
	}
	return int64(float64(elapsed) * float64(r.plan.Connections*r.plan.Pipeline) / float64(n))
}
