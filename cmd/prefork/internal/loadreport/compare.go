package loadreport

import (
	"fmt"
	"io"
	"strings"
	"time"

	"prefork/cmd/prefork/internal/human"
	"prefork/internal/load"
)

// notable is the difference from which Compare colours a figure: less than
// that is what two equal runs differ by.
const notable = 0.05

// Compare writes two runs side by side and by how much b differs from a. It
// says first what makes the comparison doubtful: other plans, or a generator
// that was at its limit.
func Compare(w io.Writer, a, b *load.Result, o TextOptions) error {
	t := &draft{p: human.Painter{On: o.Color}, width: o.width()}
	for _, side := range []struct {
		name string
		r    *load.Result
	}{{"A", a}, {"B", b}} {
		what := fmt.Sprintf("%s: %s", clean(side.r.Target, 200), planText(side.r.Plan))
		if !side.r.Started.IsZero() {
			what += ", " + side.r.Started.UTC().Format(time.DateTime) + " UTC"
		}
		t.line(side.name, what, 0)
		for i, warning := range side.r.Generator.Warnings {
			if i == mostWarnings {
				break
			}
			t.line("warning", clean(warning, 400), human.Yellow)
		}
	}
	if others := differences(a, b); len(others) > 0 {
		t.line("doubtful", "the runs differ in "+strings.Join(others, ", ")+"; what follows compares unlike things", human.Yellow)
	}
	t.b.WriteByte('\n')
	t.sides(a, b)
	_, err := io.WriteString(w, t.b.String())
	return err
}

// differences names what was asked of one run and not of the other.
func differences(a, b *load.Result) []string {
	var list []string
	differ := func(what, of, than string) {
		if of != than {
			list = append(list, fmt.Sprintf("%s (%s, %s)", what, orNone(of), orNone(than)))
		}
	}
	p, q := a.Plan, b.Plan
	differ("mode", p.Mode, q.Mode)
	differ("connections", fmt.Sprint(p.Connections), fmt.Sprint(q.Connections))
	differ("pipeline", fmt.Sprint(max(p.Pipeline, 1)), fmt.Sprint(max(q.Pipeline, 1)))
	differ("rate", p.Rate, q.Rate)
	differ("duration", human.Duration(p.DurationS), human.Duration(q.DurationS))
	differ("limit", fmt.Sprint(p.Limit), fmt.Sprint(q.Limit))
	differ("warm-up", human.Duration(p.WarmupS), human.Duration(q.WarmupS))
	differ("timeout", human.Duration(p.TimeoutS), human.Duration(q.TimeoutS))
	differ("loops", fmt.Sprint(p.Loops), fmt.Sprint(q.Loops))
	differ("payload", p.Payload, q.Payload)
	differ("expectation", p.Expect, q.Expect)
	if way(a) != way(b) {
		differ("correction", a.Correction, b.Correction)
	}
	return list
}

// way is the manner of a correction without its interval, which is a result.
func way(r *load.Result) string {
	words := strings.Fields(r.Correction)
	return strings.Join(words[:min(len(words), 2)], " ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return clean(s, 40)
}

func (t *draft) sides(a, b *load.Result) {
	table := human.NewTable([]string{"", "A", "B", "DIFFERENCE"}, 0)
	add := func(name string, of reader, write func(float64) string, moreIsBetter bool) {
		table.Add(append(human.Cells(name), t.pair(a, b, of, write, moreIsBetter)...)...)
	}
	add("rate", always(requestRate), asRate.write, true)
	add("errors", always(func(r *load.Result) float64 { return float64(r.Failed()) }), asCount.write, false)
	add("error rate", always(errorRate), share, false)
	for _, class := range load.Classes() {
		if a.Errors[class]+b.Errors[class] > 0 {
			add("  "+string(class), always(func(r *load.Result) float64 { return float64(r.Errors[class]) }), asCount.write, false)
		}
	}
	add("server CPU/request", cpuPerRequest, human.Duration, false)
	for i, suffix := range []string{"", " uncorrected"} {
		for _, q := range points() {
			add(q.name+suffix, latencyOf(q, i == 1), human.Duration, false)
		}
	}
	table.Render(&t.b, t.p)
}

// pair is a line of the comparison without its name.
func (t *draft) pair(a, b *load.Result, of reader, write func(float64) string, moreIsBetter bool) []human.Cell {
	x, noX := of(a)
	y, noY := of(b)
	row := human.Cells("-", "-", "")
	if noX == nil {
		row[0].Text = write(x)
	}
	if noY == nil {
		row[1].Text = write(y)
	}
	if noX != nil || noY != nil {
		return row
	}
	switch x {
	case y:
		row[2].Text = "same"
		return row
	case 0:
		row[2].Text = "from none"
	default:
		row[2].Text = fmt.Sprintf("%+.1f %%", (y-x)/x*100)
		if d := (y - x) / x; d > -notable && d < notable {
			return row
		}
	}
	row[2].Style = human.Red
	if (y > x) == moreIsBetter {
		row[2].Style = human.Green
	}
	return row
}
