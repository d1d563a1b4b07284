package load

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The bounds of a rate.
const (
	maxRate   = 10_000_000
	maxStages = 100
)

// stage is a part of a schedule: the rate goes evenly from one value to another.
type stage struct {
	from, to float64 // requests a second
	seconds  float64
	begins   float64 // after the schedule's beginning
	before   float64 // requests due before it
}

// due returns how many requests are due in the first t seconds of the stage.
func (s *stage) due(t float64) float64 {
	t = min(max(t, 0), s.seconds)
	return s.from*t + (s.to-s.from)*t*t/(2*s.seconds)
}

// when returns the second of the stage at which its m-th request is due. It is
// due(t) = m solved for t, in the form that a constant rate does not divide by
// zero.
func (s *stage) when(m float64) float64 {
	if m <= 0 {
		return 0
	}
	slope := (s.to - s.from) / s.seconds
	return min(2*m/(s.from+math.Sqrt(max(s.from*s.from+2*slope*m, 0))), s.seconds)
}

// schedule says when each request of an open loop is due.
type schedule []stage

// parseRate reads stages of the form RATE@DURATION or FROM-TO@DURATION with
// commas between them, such as 500@10s,1000-5000@20s,5000@30s. RATE is in
// requests a second and FROM-TO rises or falls evenly. The last stage may leave
// out its duration and then lasts until the end of the run.
func parseRate(text string, run time.Duration) (schedule, error) {
	if run == 0 {
		run = 10 * time.Second
	}
	var s schedule
	stages := strings.Split(text, ",")
	if len(stages) > maxStages {
		return nil, fmt.Errorf("rate: %d stages at most", maxStages)
	}
	for i, word := range stages {
		rates, length, timed := strings.Cut(strings.TrimSpace(word), "@")
		var next stage
		var err error
		if next.from, next.to, err = parseRates(rates); err != nil {
			return nil, err
		}
		end := s.length().Seconds()
		next.seconds = run.Seconds() - end
		if timed {
			d, err := time.ParseDuration(length)
			if err != nil || d <= 0 || d > maxDuration {
				return nil, fmt.Errorf("rate: want a duration such as 10s behind @, not %q", length)
			}
			next.seconds = d.Seconds()
		} else if i < len(stages)-1 {
			return nil, fmt.Errorf("rate: %q needs a duration, as in %s@10s; only the last stage can do without", word, word)
		}
		if next.seconds <= 0 {
			return nil, fmt.Errorf("rate: no time is left for %q", word)
		}
		s = s.add(next)
	}
	if s.length() > maxDuration {
		return nil, fmt.Errorf("rate: %v at most in all", maxDuration)
	}
	if s.total() < 1 {
		return nil, fmt.Errorf("rate: not one request is due in %v", s.length())
	}
	return s, nil
}

func parseRates(text string) (from, to float64, err error) {
	low, high, ramp := strings.Cut(text, "-")
	if !ramp {
		high = low
	}
	for _, r := range []struct {
		text string
		to   *float64
	}{{low, &from}, {high, &to}} {
		v, err := strconv.ParseFloat(r.text, 64)
		if err != nil || !(v >= 0 && v <= maxRate) || strings.ContainsAny(r.text, "xX+pP_") {
			return 0, 0, fmt.Errorf("rate: want a number of requests a second such as 500 or 500-2000, not %q", text)
		}
		*r.to = v
	}
	return from, to, nil
}

func (s schedule) add(next stage) schedule {
	if len(s) > 0 {
		last := &s[len(s)-1]
		next.begins = last.begins + last.seconds
		next.before = last.before + last.due(last.seconds)
	}
	return append(s, next)
}

// warm returns the schedule with a stage before it that keeps its first rate.
func (s schedule) warm(d time.Duration) schedule {
	if d <= 0 || len(s) == 0 {
		return s
	}
	rate := s[0].from
	if rate == 0 {
		rate = s[0].to / 2
	}
	var w schedule
	for _, next := range append(schedule{{from: rate, to: rate, seconds: d.Seconds()}}, s...) {
		w = w.add(stage{from: next.from, to: next.to, seconds: next.seconds})
	}
	return w
}

func (s schedule) length() time.Duration {
	if len(s) == 0 {
		return 0
	}
	last := s[len(s)-1]
	return time.Duration((last.begins + last.seconds) * 1e9)
}

func (s schedule) total() float64 {
	if len(s) == 0 {
		return 0
	}
	last := s[len(s)-1]
	return last.before + last.due(last.seconds)
}

// before returns how many requests are due before the time, in nanoseconds.
func (s schedule) before(ns int64) uint64 {
	t := float64(ns) / 1e9
	n := 0.0
	for i := range s {
		if t > s[i].begins {
			n = s[i].before + s[i].due(t-s[i].begins)
		}
	}
	return uint64(math.Ceil(max(n-1e-6, 0)))
}

// arrivals walks the schedule: every step-th request, beginning with the
// first-th. One loop owns it.
type arrivals struct {
	schedule schedule
	stage    int
	index    uint64
	step     uint64
	at       int64 // when the index-th is due; never: math.MaxInt64
}

func newArrivals(s schedule, first, step int) *arrivals {
	a := &arrivals{schedule: s, index: uint64(first), step: uint64(step)}
	a.find()
	return a
}

func (a *arrivals) next() {
	a.index += a.step
	a.find()
}

func (a *arrivals) find() {
	for ; a.stage < len(a.schedule); a.stage++ {
		s := &a.schedule[a.stage]
		m := float64(a.index) - s.before
		if m < s.due(s.seconds) {
			a.at = int64((s.begins + s.when(m)) * 1e9)
			return
		}
	}
	a.at = math.MaxInt64
}
