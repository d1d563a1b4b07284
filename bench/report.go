package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"prefork/bench/internal/stat"
)

// report is everything that a run has found.
type report struct {
	Machine       machine          `json:"machine"`
	Comparisons   []table          `json:"comparisons,omitempty"`
	Distributions []distributions  `json:"distributions,omitempty"`
	Generators    []generatorTable `json:"generators,omitempty"`
	Skipped       []skipped        `json:"skipped,omitempty"`
}

// skipped is a server that took no part.
type skipped struct {
	Server string `json:"server"`
	Reason string `json:"reason"`
}

func (r *report) skip(server, reason string) {
	r.Skipped = append(r.Skipped, skipped{server, reason})
}

// distributions is a table of times that were measured one by one.
type distributions struct {
	Name  string         `json:"name"`
	Title string         `json:"title"`
	Note  string         `json:"note,omitempty"`
	Rows  []distribution `json:"rows"`
}

// distribution sums up many times, in milliseconds.
type distribution struct {
	Name string  `json:"name"`
	N    int     `json:"n"`
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	Min  float64 `json:"min_ms"`
	Max  float64 `json:"max_ms"`
}

func distributionOf(name string, times []time.Duration) distribution {
	sorted := slices.Sorted(slices.Values(times))
	ms := func(q float64) float64 { return micros(stat.Quantile(sorted, q)) / 1000 }
	return distribution{Name: name, N: len(sorted), P50: ms(0.50), P99: ms(0.99), Min: ms(0), Max: ms(1)}
}

func (r *report) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// writeTables writes the report as Markdown.
func (r *report) writeTables(w io.Writer) error {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "%s; %d processors (%s), Linux %s, %s; load average before the run %s.\n",
		m.Date, m.Processors, m.Model, m.Kernel, m.Go, m.Load)
	for _, s := range r.Skipped {
		fmt.Fprintf(&b, "\n%s took no part: %s.\n", s.Server, s.Reason)
	}
	for _, t := range r.Comparisons {
		t.write(&b)
	}
	for _, d := range r.Distributions {
		d.write(&b)
	}
	for _, t := range r.Generators {
		t.write(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *table) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n### %s: %s\n\n", t.Name, t.Title)
	heads := []string{"server", "CPU µs per " + t.Unit}
	for _, base := range t.Bases {
		heads = append(heads, "÷ "+base)
	}
	heads = append(heads, t.Unit+"s/s", "p50 µs", "p99 µs")
	writeRow(b, heads)
	writeRule(b, len(heads))
	for _, r := range t.Rows {
		cells := []string{r.Server, spread(r.CPU, 2)}
		for _, base := range t.Bases {
			if base == r.Server {
				cells = append(cells, "1")
			} else {
				cells = append(cells, spread(r.Ratios[base], 2))
			}
		}
		writeRow(b, append(cells, spread(r.Rate, 0), spread(r.P50, 0), spread(r.P99, 0)))
	}
	fmt.Fprintf(b, "\n%d rounds. Other processes used %.0f %% of the machine (%.0f-%.0f %%).\n",
		t.Rounds, t.Others.Median*100, t.Others.Min*100, t.Others.Max*100)
}

func (d *distributions) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n### %s: %s\n\n", d.Name, d.Title)
	writeRow(b, []string{"", "n", "p50 ms", "p99 ms", "min ms", "max ms"})
	writeRule(b, 6)
	for _, r := range d.Rows {
		cells := []string{r.Name, fmt.Sprint(r.N)}
		for _, v := range []float64{r.P50, r.P99, r.Min, r.Max} {
			cells = append(cells, fmt.Sprintf("%.2f", v))
		}
		writeRow(b, cells)
	}
	if d.Note != "" {
		fmt.Fprintf(b, "\n%s\n", d.Note)
	}
}

// spread writes a median and, in parentheses, the least and the greatest.
func spread(s stat.Spread, decimals int) string {
	return fmt.Sprintf("%.*f (%.*f-%.*f)", decimals, s.Median, decimals, s.Min, decimals, s.Max)
}

func writeRow(b *strings.Builder, cells []string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

func writeRule(b *strings.Builder, columns int) {
	b.WriteString("|---|" + strings.Repeat("---:|", columns-1) + "\n")
}
