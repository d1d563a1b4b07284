package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"prefork/bench/internal/stat"
)

// format is the version of the raw JSON.
const format = 1

// report is the result of one run, or of several that were merged.
type report struct {
	Format int     `json:"format"`
	Suites []suite `json:"suites"`
}

// suite is one load that several servers get in turn, and what was measured.
// Its rows keep the values of every round. Medians, ranges and ratios are
// computed when it is shown.
type suite struct {
	Name   string `json:"name"`  // of the command line, with a suffix if a figure has several
	Title  string `json:"title"` // one line, above the table and the chart
	Load   string `json:"load,omitempty"`
	Unit   string `json:"unit"` // what one exchange is called: request, connection
	Rounds int    `json:"rounds"`

	// Main is the metric of the chart and of the ratios to the control.
	Main    string `json:"main"`
	Control string `json:"control,omitempty"` // the row whose main metric is the line of the limit
	Pairs   []pair `json:"pairs,omitempty"`   // the ratios that the page shows

	Rows    []row     `json:"rows,omitempty"`
	Curves  []curve   `json:"curves,omitempty"` // of a suite that varies one quantity
	XTitle  string    `json:"x_title,omitempty"`
	Skipped []skipped `json:"skipped,omitempty"`
	Notes   []string  `json:"notes,omitempty"`
	Others  []float64 `json:"others,omitempty"` // share of the machine that others used, for each window

	Run provenance `json:"run"`
}

// row is one server of a suite.
type row struct {
	Name   string               `json:"name"`
	Ours   bool                 `json:"ours,omitempty"`
	Values map[string][]float64 `json:"values,omitempty"` // by metric, one a round
	// Times were measured one by one, in milliseconds and in order. Round k is
	// the k-th of the suite's equal parts.
	Times []float64 `json:"times_ms,omitempty"`
}

// pair asks for the ratio of two rows within each round.
type pair struct {
	Of     string `json:"of"`
	By     string `json:"by"`
	Metric string `json:"metric,omitempty"` // "" is the suite's main metric
}

// curve is one line of a plot.
type curve struct {
	Name   string  `json:"name"`
	Ours   bool    `json:"ours,omitempty"`
	Points []point `json:"points"`
}

type point struct {
	X      float64   `json:"x"`
	Values []float64 `json:"values"` // of the main metric, one a round
}

// skipped is a server that took no part.
type skipped struct {
	Server string `json:"server"`
	Reason string `json:"reason"`
}

// add appends one round's value of a metric.
func (r *row) add(metric string, value float64) {
	if r.Values == nil {
		r.Values = map[string][]float64{}
	}
	r.Values[metric] = append(r.Values[metric], value)
}

// row returns the row with a name, or nil.
func (s *suite) row(name string) *row {
	i := slices.IndexFunc(s.Rows, func(r row) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Rows[i]
}

// byRound returns a row's values of a metric, one a round. Metrics of Times are
// quantiles of each round's part.
func (s *suite) byRound(r *row, metric string) []float64 {
	q, ok := quantiles[metric]
	if !ok || len(r.Times) == 0 {
		return r.Values[metric]
	}
	rounds := min(max(s.Rounds, 1), len(r.Times))
	values := make([]float64, rounds)
	for k := range values {
		part := r.Times[k*len(r.Times)/rounds : (k+1)*len(r.Times)/rounds]
		values[k] = stat.Quantile(slices.Sorted(slices.Values(part)), q)
	}
	return values
}

// ratio returns the spread of the ratios of two rows within each round, and
// whether both were measured.
func (s *suite) ratio(p pair) (stat.Spread, bool) {
	of, by := s.row(p.Of), s.row(p.By)
	if of == nil || by == nil {
		return stat.Spread{}, false
	}
	metric := p.Metric
	if metric == "" {
		metric = s.Main
	}
	x, y := s.byRound(of, metric), s.byRound(by, metric)
	if len(x) == 0 || len(x) != len(y) || slices.Min(y) <= 0 {
		return stat.Spread{}, false
	}
	return stat.Of(stat.Ratios(x, y)), true
}

func (s *suite) skip(server, reason string) {
	s.Skipped = append(s.Skipped, skipped{server, reason})
}

// merge takes over the suites of another report. Of two with the same name the
// newer one stays.
func (r *report) merge(other report) {
	for _, s := range other.Suites {
		i := slices.IndexFunc(r.Suites, func(mine suite) bool { return mine.Name == s.Name })
		switch {
		case i < 0:
			r.Suites = append(r.Suites, s)
		case r.Suites[i].Run.Date <= s.Run.Date:
			r.Suites[i] = s
		}
	}
	slices.SortStableFunc(r.Suites, func(a, b suite) int { return cmp.Compare(figureOf(a), figureOf(b)) })
}

// check says what is wrong with a report that was read.
func (r *report) check() error {
	if r.Format != format {
		return fmt.Errorf("format is %d, want %d", r.Format, format)
	}
	var errs []error
	for i := range r.Suites {
		s := &r.Suites[i]
		bad := func(text string, args ...any) {
			errs = append(errs, fmt.Errorf("suite %q: "+text, append([]any{s.Name}, args...)...))
		}
		if !suiteName.MatchString(s.Name) {
			bad("the name is not lower case letters, digits and hyphens")
		}
		if _, ok := metricOf(s.Main); !ok {
			bad("unknown metric %q", s.Main)
		}
		for _, row := range s.Rows {
			for name, values := range row.Values {
				if _, ok := metricOf(name); !ok {
					bad("%s: unknown metric %q", row.Name, name)
				}
				if len(values) != s.Rounds {
					bad("%s: %d values of %s in %d rounds", row.Name, len(values), name, s.Rounds)
				}
			}
		}
	}
	return errors.Join(errs...)
}

var suiteName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// readReports reads the files and merges them.
func readReports(names []string) (report, error) {
	all := report{Format: format}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return report{}, err
		}
		var r report
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		if err := d.Decode(&r); err != nil {
			return report{}, fmt.Errorf("%s: %w", name, err)
		}
		if err := r.check(); err != nil {
			return report{}, fmt.Errorf("%s: %w", name, err)
		}
		all.merge(r)
	}
	return all, nil
}

// figureOf is the position of the figure that a suite belongs to.
func figureOf(s suite) int {
	for i, f := range figures {
		if s.belongsTo(f.name) {
			return i
		}
	}
	return len(figures)
}

// writeFile writes the raw values to a file.
func (r *report) writeFile(name string) error {
	var b bytes.Buffer
	if err := r.writeJSON(&b); err != nil {
		return err
	}
	return os.WriteFile(name, b.Bytes(), 0o644)
}

// writeJSON writes the raw values, a list of numbers on one line.
func (r *report) writeJSON(w io.Writer) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	data = listOfNumbers.ReplaceAllFunc(data, func(list []byte) []byte {
		return []byte(strings.Join(strings.Fields(string(list)), ""))
	})
	_, err = w.Write(append(data, '\n'))
	return err
}

var listOfNumbers = regexp.MustCompile(`\[\s+-?[0-9][-+0-9.eE,\s]*\]`)
