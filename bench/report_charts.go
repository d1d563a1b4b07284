package main

import (
	"fmt"
	"slices"
	"strings"

	"prefork/bench/internal/chart"
	"prefork/bench/internal/stat"
)

// chart draws the suite's main metric.
func (s *suite) chart() string {
	if len(s.Curves) > 0 {
		return s.plot()
	}
	m, _ := metricOf(s.Main) // check has seen it
	c := chart.Bars{Title: s.heading(), Axis: s.head(m), Range: "median and range of the rounds"}
	for i := range s.Rows {
		r := &s.Rows[i]
		if len(s.byRound(r, s.Main)) == 0 {
			continue
		}
		x := s.spread(r, s.Main)
		if s.Main == mP50ms && len(r.Times) > 0 {
			sorted := slices.Sorted(slices.Values(r.Times))
			x.Min, x.Max = sorted[0], stat.Quantile(sorted, 0.99)
			c.Range = "from the least to p99"
		}
		bar := chart.Bar{
			Label: r.Name, Value: x.Median, Low: x.Min, High: x.Max,
			Text: fmt.Sprintf("%.*f", decimalsOf(x.Median, m.decimals), x.Median), Ours: r.Ours, Control: r.Name == s.Control,
		}
		if bar.Control {
			c.Limit, c.LimitLabel = x.Median, r.Name
			c.Rows = slices.Insert(c.Rows, 0, bar)
			continue
		}
		if ratio, ok := s.ratio(pair{Of: r.Name, By: s.Control}); ok {
			bar.Ratio = fmt.Sprintf("%.2f ×", ratio.Median)
		}
		c.Rows = append(c.Rows, bar)
	}
	return c.SVG()
}

// plot draws the curves. Names that are equal up to a comma share a colour; the
// servers' own are dashed.
func (s *suite) plot() string {
	m, _ := metricOf(s.Main)
	c := chart.Lines{Title: s.heading(), XAxis: s.XTitle, YAxis: s.head(m) + "; median and range of the rounds"}
	var families []string
	for _, curve := range s.Curves {
		family, _, _ := strings.Cut(curve.Name, ",")
		if !slices.Contains(families, family) {
			families = append(families, family)
		}
		series := chart.Series{Label: curve.Name, Color: slices.Index(families, family), Dashed: !curve.Ours}
		for _, p := range curve.Points {
			x := stat.Of(p.Values)
			series.Points = append(series.Points, chart.Point{X: p.X, Y: x.Median, Low: x.Min, High: x.Max})
		}
		c.Series = append(c.Series, series)
	}
	return c.SVG()
}
