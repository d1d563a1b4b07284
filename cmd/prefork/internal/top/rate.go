package top

import (
	"prefork"
	"prefork/master"
)

// interval is the time between the two statuses in seconds, 0 if there is
// none.
func (v *view) interval() float64 {
	if v.before == nil || v.now == nil {
		return 0
	}
	return max(0, v.now.UptimeS-v.before.UptimeS)
}

// perSecond is the rate of a counter; ok is false if there is none.
func (v *view) perSecond(of func(*prefork.Status) uint64) (rate float64, ok bool) {
	d := v.interval()
	if d == 0 {
		return 0, false
	}
	return float64(since(of(v.before), of(v.now))) / d, true
}

// since is how much a counter has grown.
func since(before, now uint64) uint64 {
	if now < before {
		return 0
	}
	return now - before
}

// latency returns the histogram of the interval.
func (v *view) latency() (h master.Histogram, total uint64) {
	if v.interval() == 0 {
		return h, 0
	}
	h = v.now.HandlerLatency
	before := v.before.HandlerLatency.Counts
	if len(h.BoundsS) == 0 || len(h.Counts) != len(h.BoundsS)+1 || len(before) != len(h.Counts) {
		return master.Histogram{}, 0 // of another version
	}
	counts := make([]uint64, len(h.Counts))
	for i := range counts {
		counts[i] = since(before[i], h.Counts[i])
		total += counts[i]
	}
	h.Counts = counts
	return h, total
}

// quantile returns the duration, in seconds, that the part q of those in h do not
// exceed; over says that it is beyond the last bound. total is the sum of the
// counts, and not 0.
func quantile(h master.Histogram, total uint64, q float64) (seconds float64, over bool) {
	rank := q * float64(total)
	var below uint64
	for i, n := range h.Counts {
		if n == 0 || float64(below+n) < rank {
			below += n
			continue
		}
		if i == len(h.BoundsS) {
			break
		}
		low := 0.0
		if i > 0 {
			low = h.BoundsS[i-1]
		}
		return low + (h.BoundsS[i]-low)*(rank-float64(below))/float64(n), false
	}
	return h.BoundsS[len(h.BoundsS)-1], true
}

type row struct {
	master.WorkerRow
	measured bool    // what follows is known
	answers  float64 // per second
	rate     float64 // connections handled per second
	cpu      float64 // per cent of one processor
	failing  bool    // connections failed in the interval
}

// rows returns the workers, by slot, with what they did in the interval.
func (v *view) rows() []row {
	if v.now == nil {
		return nil
	}
	before := map[int]master.WorkerRow{}
	d := v.interval()
	if d > 0 {
		for _, w := range v.before.Workers {
			before[w.PID] = w
		}
	}
	rows := make([]row, 0, len(v.now.Workers))
	for _, w := range v.now.Workers {
		r := row{WorkerRow: w}
		old, known := before[w.PID]
		// A worker that is younger than the interval began with zero counters.
		if r.measured = d > 0 && (known || w.AgeS <= 2*d); r.measured {
			r.answers = float64(since(old.Answers, w.Answers)) / d
			r.rate = float64(since(old.Handled, w.Handled)) / d
			r.cpu = 100 * max(0, w.CPUS-old.CPUS) / d
			r.failing = w.Failed > old.Failed
		}
		rows = append(rows, r)
	}
	return rows
}
