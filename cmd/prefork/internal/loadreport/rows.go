package loadreport

import (
	"cmp"
	"slices"
	"sort"

	"prefork/internal/load"
)

// row is one or more seconds of the series, and the marks that fall into them.
type row struct {
	at, span float64 // seconds since the window began, and how many
	requests uint64
	errors   uint64
	active   int     // at its end
	p50      float64 // of the worst second in it, as are the next
	p99, max float64
	marks    []load.Mark
}

func (r *row) rate() float64 { return float64(r.requests) / r.span }

func (r *row) errorRate() float64 { return float64(r.errors) / r.span }

func (r *row) worstP99() float64 { return r.p99 }

// secondsOf returns a row for each second. Marks before the first row belong to it,
// so that none is lost.
func secondsOf(r *load.Result) []row {
	rows := make([]row, len(r.Series))
	marks := marksOf(r)
	for i, s := range r.Series {
		rows[i] = row{at: s.AtS, span: 1, requests: s.Requests, errors: s.Errors, active: s.Active, p50: s.P50S, p99: s.P99S, max: s.MaxS}
		n := len(marks)
		if i < len(r.Series)-1 {
			n = sort.Search(n, func(n int) bool { return marks[n].AtS >= r.Series[i+1].AtS })
		} else if span := r.ElapsedS - s.AtS; span > 0 && span < 1 {
			rows[i].span = span // the last one may be shorter
		}
		rows[i].marks, marks = marks[:n:n], marks[n:]
	}
	return rows
}

// sliver is the length below which the last second has no row of its own: a few
// answers would make a rate.
const sliver = 0.2

// rowsOf gathers the series into at most most rows of equal length. Rates and
// errors are exact; of quantiles, which cannot be added, a row has the worst.
func rowsOf(r *load.Result, most int) []row {
	seconds := secondsOf(r)
	each := (len(seconds) + most - 1) / most
	var rows []row
	for i, s := range seconds {
		fold := i == len(seconds)-1 && s.span < sliver && len(rows) > 0
		if !fold && i%each == 0 {
			rows = append(rows, s)
			continue
		}
		to := &rows[len(rows)-1]
		to.span += s.span
		to.requests += s.requests
		to.errors += s.errors
		to.active = s.active
		to.p50, to.p99, to.max = max(to.p50, s.p50), max(to.p99, s.p99), max(to.max, s.max)
		to.marks = append(to.marks, s.marks...)
	}
	return rows
}

// marksOf returns the marks in the order of time. They come as they were seen.
func marksOf(r *load.Result) []load.Mark {
	marks := slices.Clone(r.Marks)
	slices.SortStableFunc(marks, func(a, b load.Mark) int { return cmp.Compare(a.AtS, b.AtS) })
	return marks
}

// markText is a mark in words, cut to fit.
func markText(m load.Mark, most int) string {
	if m.Text == "" {
		return clean(m.Kind, most)
	}
	return clean(m.Kind+": "+m.Text, most)
}

// bad reports whether a mark is about a failure.
func bad(m load.Mark) bool { return m.Kind == "reload_failed" || m.Kind == "worker_death" }
