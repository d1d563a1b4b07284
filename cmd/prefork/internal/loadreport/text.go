package loadreport

import (
	"fmt"
	"io"
	"strings"

	"prefork/cmd/prefork/internal/human"
	"prefork/internal/load"
)

// TextOptions say how a report for people looks.
type TextOptions struct {
	Color bool
	Width int // of the terminal; 0 is 80
}

// The widths that a report can be drawn in.
const (
	usualWidth = 80
	leastWidth = 50
	mostWidth  = 200
)

func (o TextOptions) width() int {
	if o.Width == 0 {
		return usualWidth
	}
	return min(max(o.Width, leastWidth), mostWidth)
}

// Text writes the report for people. It fails if w does, or if the Result
// carries no histogram that can be read.
func Text(w io.Writer, r *load.Result, o TextOptions) error {
	t := &draft{r: r, p: human.Painter{On: o.Color}, width: o.width()}
	t.warnings()
	t.plan()
	t.figures()
	t.latency()
	if err := t.distribution(); err != nil {
		return err
	}
	t.series()
	_, err := io.WriteString(w, t.b.String())
	return err
}

type draft struct {
	b     strings.Builder
	r     *load.Result
	p     human.Painter
	width int
}

// line writes a label and what belongs to it, wrapped under itself.
func (t *draft) line(label, what string, style human.Style) {
	const indent = 11
	for i, part := range human.Wrap(what, t.width-indent) {
		if i > 0 {
			label = ""
		}
		fmt.Fprintf(&t.b, "%-*s%s\n", indent, label, t.p.Paint(style, part))
	}
}

// mostWarnings bounds the warnings that are shown of a file that has more.
const mostWarnings = 20

// warnings come first, because they make the figures doubtful.
func (t *draft) warnings() {
	list := t.r.Generator.Warnings
	for i, w := range list {
		if i == mostWarnings {
			t.line("", fmt.Sprintf("and %d more warnings", len(list)-i), human.Yellow)
			break
		}
		t.line("warning", clean(w, 400), human.Yellow)
	}
	if len(list) > 0 {
		t.b.WriteByte('\n')
	}
}

func (t *draft) plan() {
	plan := t.r.Plan
	fmt.Fprintf(&t.b, "%s  %s\n", t.p.Paint(human.Bold, clean(t.r.Target, 200)), planText(plan))
	if plan.Mode == "idle" {
		return
	}
	what := "sends " + clean(strings.ReplaceAll(plan.Payload, "\n", `\n`), 80)
	if plan.Payload == "" {
		what = "sends nothing"
	}
	if plan.Expect != "" {
		what += ", expects " + clean(plan.Expect, 80)
	}
	t.line("payload", what, 0)
}

// planText is the plan in one line.
func planText(p load.Plan) string {
	parts := []string{clean(p.Mode, 20), counted(p.Connections, "connection", "connections")}
	if p.Pipeline > 1 {
		parts = append(parts, fmt.Sprintf("pipeline %d", p.Pipeline))
	}
	switch {
	case p.Rate != "":
		parts = append(parts, "rate "+clean(p.Rate, 60))
	case p.Mode != "idle":
		parts = append(parts, "closed loop")
	}
	if p.DurationS > 0 {
		parts = append(parts, human.Duration(p.DurationS))
	}
	if p.Limit > 0 {
		parts = append(parts, fmt.Sprintf("%d requests", p.Limit))
	}
	if p.WarmupS > 0 {
		parts = append(parts, "warm-up "+human.Duration(p.WarmupS))
	}
	if p.Loops > 0 {
		parts = append(parts, counted(p.Loops, "loop", "loops"))
	}
	return strings.Join(parts, ", ")
}

func (t *draft) figures() {
	r := t.r
	t.b.WriteByte('\n')
	idle := r.Plan.Mode == "idle"
	if !idle {
		t.line("requests", fmt.Sprintf("%s in %s, %d in all", t.p.Paint(human.Bold, perSecond(r.RequestsPS)+"/s"), human.Duration(r.ElapsedS), r.Requests), 0)
	}
	if summary := errorsText(r); summary == noErrors {
		t.line("errors", summary, human.Green)
	} else {
		t.line("errors", summary, human.Red)
	}
	for _, example := range r.Examples[:min(len(r.Examples), mostExamples)] {
		t.line("", clean(example, 200), 0)
	}
	connected := counted(int(r.Connections), "connection", "connections")
	if idle {
		connected += fmt.Sprintf(", %d stood when the time was over", r.Standing)
	}
	t.line("connected", connected, 0)
	t.line("traffic", fmt.Sprintf("%s in, %s out", human.Bytes(r.BytesIn), human.Bytes(r.BytesOut)), 0)
	if s := r.Server; s != nil {
		t.line("server", serverText(r), 0)
	}
	g := r.Generator
	what := fmt.Sprintf("%s of CPU, busiest loop %s busy", human.Duration(g.CPUS), share(g.BusyShare))
	if r.Plan.Rate != "" { // else nothing is due at a time
		what += fmt.Sprintf(", late by %s at most", human.Duration(g.LateMaxS))
	}
	if g.Unsent > 0 {
		what += fmt.Sprintf(", %d requests never sent", g.Unsent)
	}
	t.line("generator", what, 0)
}

// mostExamples bounds the failures that are shown in words.
const mostExamples = 12

func serverText(r *load.Result) string {
	s := r.Server
	if r.Requests == 0 {
		return fmt.Sprintf("%s of CPU in %s", human.Duration(s.CPUS), counted(len(s.PIDs), "process", "processes"))
	}
	return fmt.Sprintf("%s of CPU a request, %s in %s", human.Duration(s.PerRequestUS/1e6), human.Duration(s.CPUS),
		counted(len(s.PIDs), "process", "processes"))
}

const noErrors = "none"

// errorsText says what went wrong and how often, by class.
func errorsText(r *load.Result) string {
	failed := r.Failed()
	if failed == 0 {
		return noErrors
	}
	var parts []string
	for _, class := range load.Classes() {
		if n := r.Errors[class]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", class, n))
		}
	}
	return fmt.Sprintf("%d (%s): %s", failed, share(errorRate(r)), strings.Join(parts, ", "))
}

func errorRate(r *load.Result) float64 {
	failed := float64(r.Failed())
	if failed == 0 {
		return 0
	}
	return failed / (failed + float64(r.Requests))
}

// point is a quantile that reports show.
type point struct {
	name string
	of   func(*load.Latency) float64
}

// points are the quantiles of all tables, in their order.
func points() []point {
	return []point{
		{"p50", func(l *load.Latency) float64 { return l.P50S }},
		{"p75", func(l *load.Latency) float64 { return l.P75S }},
		{"p90", func(l *load.Latency) float64 { return l.P90S }},
		{"p95", func(l *load.Latency) float64 { return l.P95S }},
		{"p99", func(l *load.Latency) float64 { return l.P99S }},
		{"p99.9", func(l *load.Latency) float64 { return l.P999S }},
		{"p99.99", func(l *load.Latency) float64 { return l.P9999 }},
		{"max", func(l *load.Latency) float64 { return l.MaxS }},
	}
}

func (t *draft) latency() {
	r := t.r
	if r.Corrected.Count == 0 && r.Uncorrected.Count == 0 {
		return
	}
	t.b.WriteByte('\n')
	table := human.NewTable([]string{"LATENCY", "CORRECTED", "UNCORRECTED"}, 0)
	for _, q := range points() {
		row := human.Cells(q.name, human.Duration(q.of(&r.Corrected)), human.Duration(q.of(&r.Uncorrected)))
		row[1].Style = human.Bold
		table.Add(row...)
	}
	table.Render(&t.b, t.p)
	if r.Correction != "" {
		fmt.Fprintf(&t.b, "%s\n", t.p.Paint(human.Dim, "corrected by "+clean(r.Correction, 100)))
	}
}
