package loadreport

import (
	"cmp"
	"math"
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

func (r *row) rate() float64 {
	if r.span <= 0 {
		return 0
	}
	return float64(r.requests) / r.span
}

// sliver is the length below which the last second has no row of its own: a few
// answers would make a rate.
const sliver = 0.2

// rowsOf gathers the series into at most most rows of equal length. Rates and
// errors are exact; of quantiles, which cannot be added, a row has the worst.
func rowsOf(r *load.Result, most int) []row {
	n := len(r.Series)
	if n == 0 || most < 1 {
		return nil
	}
	each := (n + most - 1) / most
	var rows []row
	for i, s := range r.Series {
		span := spanOf(r, i)
		fold := i == n-1 && span < sliver && len(rows) > 0
		if !fold && i%each == 0 {
			rows = append(rows, row{at: s.AtS})
		}
		rows[len(rows)-1].take(s, span)
	}
	for _, m := range marksOf(r) {
		to := &rows[rowAt(rows, m.AtS)]
		to.marks = append(to.marks, m)
	}
	return rows
}

func (r *row) take(s load.Second, span float64) {
	r.span += span
	r.requests += s.Requests
	r.errors += s.Errors
	r.active = s.Active
	r.p50, r.p99, r.max = math.Max(r.p50, s.P50S), math.Max(r.p99, s.P99S), math.Max(r.max, s.MaxS)
}

// spanOf is how long the second at i really was: the last one may be shorter.
func spanOf(r *load.Result, i int) float64 {
	if i < len(r.Series)-1 {
		return 1
	}
	span := r.ElapsedS - r.Series[i].AtS
	if span <= 0 || span > 1 {
		return 1
	}
	return span
}

// rowAt finds the row of a time. Times before the first row belong to it, times
// after the last one to that, so that no mark is lost.
func rowAt(rows []row, at float64) int {
	after := sort.Search(len(rows), func(i int) bool { return rows[i].at > at })
	return max(after-1, 0)
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
