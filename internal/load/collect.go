package load

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// part is what a loop measured in one second. It belongs to the loop until it
// is handed over, then to the collector, which gives it back empty.
type part struct {
	loop        int
	second      int
	last        bool // the loop has ended
	requests    uint64
	errors      [classes]uint64
	connections uint64
	in, out     uint64
	active      int
	standing    int                     // with last
	uncorrected *hdrhistogram.Histogram // since the request was sent
	corrected   *hdrhistogram.Histogram // since it should have been; nil in a closed loop
}

func newPart(loop int, open bool) *part {
	p := &part{loop: loop, uncorrected: newHistogram()}
	if open {
		p.corrected = newHistogram()
	}
	return p
}

// add takes in what another loop measured in the same second.
func (p *part) add(other *part) {
	p.requests += other.requests
	for c, n := range other.errors {
		p.errors[c] += n
	}
	p.connections += other.connections
	p.in += other.in
	p.out += other.out
	p.uncorrected.Merge(other.uncorrected)
	if p.corrected != nil {
		p.corrected.Merge(other.corrected)
	}
}

func (p *part) empty() {
	u, c := p.uncorrected, p.corrected
	u.Reset()
	if c != nil {
		c.Reset()
	}
	*p = part{loop: p.loop, uncorrected: u, corrected: c}
}

// collector puts the parts of all loops together, second by second. One
// goroutine owns it but for latest.
type collector struct {
	run     *Run
	total   *part
	seconds map[int]*part // not all loops are past these
	reached []int         // the second that each loop is in
	active  []int
	series  []Second
	scratch *hdrhistogram.Histogram
	stood   int

	latest atomic.Pointer[Second]
}

func newCollector(r *Run) *collector {
	return &collector{
		run: r, total: newPart(0, r.plan.open()), seconds: make(map[int]*part), scratch: newHistogram(),
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
			c.reached[p.loop] = math.MaxInt
		}
		if sum := c.seconds[p.second]; sum != nil {
			sum.add(p)
			c.back(p)
		} else {
			c.seconds[p.second] = p
		}
		c.complete(running == 0)
	}
}

// back gives an empty part to its loop.
func (c *collector) back(p *part) {
	p.empty()
	select {
	case c.run.loops[p.loop].spare <- p:
	default:
	}
}

// complete ends the seconds that all loops are past.
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
			p = newPart(0, c.run.plan.open())
		}
		delete(c.seconds, second)
		c.second(second, p)
		c.back(p)
	}
}

// second adds one to the series.
func (c *collector) second(at int, p *part) {
	s := Second{AtS: float64(at), Requests: p.requests}
	for _, n := range p.errors {
		s.Errors += n
	}
	for _, n := range c.active {
		s.Active += n
	}
	c.total.add(p)
	h := p.corrected
	if h == nil {
		c.scratch.Reset()
		correct(c.scratch, p.uncorrected, c.run.cycle(c.total, int64(at+1)*int64(time.Second)))
		h = c.scratch
	}
	if p.requests > 0 {
		s.P50S, s.P99S, s.MaxS = seconds(h.ValueAtQuantile(50)), seconds(h.ValueAtQuantile(99)), seconds(h.Max())
	}
	c.series = append(c.series, s)
	c.latest.Store(&s)
}

// cycle returns the mean time from one request of a connection to the next.
func (r *Run) cycle(total *part, elapsed int64) int64 {
	n := total.requests
	for _, failed := range total.errors {
		n += failed
	}
	if n == 0 {
		return 0
	}
	return int64(float64(elapsed) * float64(r.plan.Connections*r.plan.Pipeline) / float64(n))
}
