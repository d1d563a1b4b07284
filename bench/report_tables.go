package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"prefork/bench/internal/stat"
)

// writeTables writes the suites as Markdown.
func (r *report) writeTables(w io.Writer) error {
	var b strings.Builder
	for i := range r.Suites {
		s := &r.Suites[i]
		fmt.Fprintf(&b, "### %s: %s\n\n", s.Name, s.Title)
		s.writeTable(&b)
		s.writeRatios(&b)
		s.writeNotes(&b)
	}
	writeGoals(&b, r)
	_, err := io.WriteString(w, b.String())
	return err
}

// columns returns the metrics that a row has a value of.
func (s *suite) columns() []metric {
	return slices.DeleteFunc(slices.Clone(metrics), func(m metric) bool {
		return !slices.ContainsFunc(s.Rows, func(r row) bool { return len(s.byRound(&r, m.name)) > 0 })
	})
}

// head is the title of a metric's column.
func (s *suite) head(m metric) string {
	if strings.Contains(m.title, "%s") {
		return fmt.Sprintf(m.title, s.Unit)
	}
	return m.title
}

func (s *suite) writeTable(b *strings.Builder) {
	if len(s.Curves) > 0 {
		s.writeCurves(b)
	}
	if len(s.Rows) == 0 {
		return
	}
	columns := s.columns()
	heads := []string{""}
	for _, m := range columns {
		heads = append(heads, s.head(m))
		if m.name == s.Main && s.row(s.Control) != nil {
			heads = append(heads, "÷ "+s.Control)
		}
	}
	writeRow(b, heads)
	writeRule(b, len(heads))
	for i := range s.Rows {
		r := &s.Rows[i]
		name := r.Name
		if r.Ours {
			name = "**" + name + "**"
		}
		cells := []string{name}
		for _, m := range columns {
			cells = append(cells, s.cell(r, m))
			if m.name != s.Main || s.row(s.Control) == nil {
				continue
			}
			cell := ""
			if r.Name == s.Control {
				cell = "1"
			} else if ratio, ok := s.ratio(pair{Of: r.Name, By: s.Control}); ok {
				cell = spread(ratio, 2)
			}
			cells = append(cells, cell)
		}
		writeRow(b, cells)
	}
	b.WriteString("\n")
}

// writeCurves writes a row for each position and a column for each curve.
func (s *suite) writeCurves(b *strings.Builder) {
	m, _ := metricOf(s.Main) // check has seen it
	heads := []string{s.XTitle}
	var positions []float64
	for _, c := range s.Curves {
		heads = append(heads, c.Name)
		for _, p := range c.Points {
			positions = append(positions, p.X)
		}
	}
	slices.Sort(positions)
	writeRow(b, heads)
	writeRule(b, len(heads))
	for _, x := range slices.Compact(positions) {
		cells := []string{fmt.Sprintf("%.0f", x)}
		for _, c := range s.Curves {
			cell := ""
			if i := slices.IndexFunc(c.Points, func(p point) bool { return p.X == x }); i >= 0 {
				cell = spread(stat.Of(c.Points[i].Values), m.decimals)
			}
			cells = append(cells, cell)
		}
		writeRow(b, cells)
	}
	fmt.Fprintf(b, "\n%s.\n\n", s.head(m))
}

// cell is one value of a table. A quantile of times is that of all of them; its
// range is of the rounds.
func (s *suite) cell(r *row, m metric) string {
	values := s.byRound(r, m.name)
	if len(values) == 0 {
		return ""
	}
	return spread(s.spread(r, m.name), m.decimals)
}

// spread sums up a row's values of a metric.
func (s *suite) spread(r *row, metric string) stat.Spread {
	x := stat.Of(s.byRound(r, metric))
	if q, ok := quantiles[metric]; ok && len(r.Times) > 0 {
		x.Median = stat.Quantile(slices.Sorted(slices.Values(r.Times)), q)
	}
	return x
}

// writeRatios writes the ratios that are asked for.
func (s *suite) writeRatios(b *strings.Builder) {
	var rows [][]string
	for _, p := range s.Pairs {
		ratio, ok := s.ratio(p)
		if !ok {
			continue
		}
		if p.Metric == "" {
			p.Metric = s.Main
		}
		m, _ := metricOf(p.Metric) // check has seen it
		rows = append(rows, []string{p.Of + " ÷ " + p.By, s.head(m), spread(ratio, 2)})
	}
	if len(rows) == 0 {
		return
	}
	writeRow(b, []string{"ratio within each round", "of", "median (range)"})
	writeRule(b, 3)
	for _, cells := range rows {
		writeRow(b, cells)
	}
	b.WriteString("\n")
}

func (s *suite) writeNotes(b *strings.Builder) {
	for _, x := range s.Skipped {
		fmt.Fprintf(b, "%s took no part: %s.\n", x.Server, x.Reason)
	}
	for _, note := range s.Notes {
		b.WriteString(note + "\n")
	}
	plural := "s"
	if s.Rounds == 1 {
		plural = ""
	}
	fmt.Fprintf(b, "%d round%s", s.Rounds, plural)
	if len(s.Others) > 0 {
		x := stat.Of(s.Others)
		fmt.Fprintf(b, "; other processes used %.0f %% of the machine (%.0f-%.0f %%)", x.Median*100, x.Min*100, x.Max*100)
	}
	fmt.Fprintf(b, ". `%s`, %s, commit %s.\n\n", s.Run.Command, s.Run.day(), s.Run.Commit)
}

// writeGoals writes the figures to reach and what was measured of them.
func writeGoals(b *strings.Builder, r *report) {
	writeRow(b, []string{"item", "must", "aim", "measured: median (range)", ""})
	writeRule(b, 5)
	for _, g := range goals {
		cells := []string{g.Item, limit(g.Must, g.Unit), limit(g.Aim, g.Unit), "not measured", ""}
		if x, ok := r.measured(g); ok {
			cells[0] = fmt.Sprintf("[%s](#%s)", g.Item, g.Suite)
			cells[3] = spread(x, 2)
			if g.Unit != "" {
				cells[3] += " " + g.Unit
			}
			cells[4] = g.verdict(x)
		}
		writeRow(b, cells)
	}
}

// measured returns the figure of a goal, if there is one.
func (r *report) measured(g goal) (stat.Spread, bool) {
	i := slices.IndexFunc(r.Suites, func(s suite) bool { return s.Name == g.Suite })
	if i < 0 {
		return stat.Spread{}, false
	}
	s := &r.Suites[i]
	if g.By != "" {
		return s.ratio(pair{Of: g.Of, By: g.By, Metric: g.Metric})
	}
	of := s.row(g.Of)
	if of == nil || len(s.byRound(of, g.Metric)) == 0 {
		return stat.Spread{}, false
	}
	return s.spread(of, g.Metric), true
}

const verdictMissed = "**missed**"

// verdict compares the median, as it is shown, with the limits.
func (g goal) verdict(x stat.Spread) string {
	shown := hundredths(x.Median)
	switch {
	case shown <= hundredths(g.Aim):
		return "met, aim too"
	case shown <= hundredths(g.Must):
		return "met"
	}
	return verdictMissed
}

func hundredths(v float64) int { return int(v*100 + 0.5) }

func limit(v float64, unit string) string {
	if unit == "" {
		return fmt.Sprintf("≤ %.2f", v)
	}
	return fmt.Sprintf("≤ %.4g %s", v, unit)
}

// spread writes a median and, in parentheses, the least and the greatest.
func spread(s stat.Spread, decimals int) string {
	decimals = decimalsOf(s.Median, decimals)
	return fmt.Sprintf("%.*f (%.*f-%.*f)", decimals, s.Median, decimals, s.Min, decimals, s.Max)
}

// decimalsOf is less for great values, which need none.
func decimalsOf(value float64, decimals int) int {
	switch {
	case value >= 1000:
		return 0
	case value >= 100:
		return min(decimals, 1)
	}
	return decimals
}

func writeRow(b *strings.Builder, cells []string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

func writeRule(b *strings.Builder, columns int) {
	b.WriteString("|---|" + strings.Repeat("---:|", columns-1) + "\n")
}
