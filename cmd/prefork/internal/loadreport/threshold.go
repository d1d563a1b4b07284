package loadreport

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"prefork/cmd/prefork/internal/human"
	"prefork/cmd/prefork/internal/nearest"
	"prefork/internal/load"
)

// Threshold says what fails a run: a figure, a comparison and a value, such as
// p99>5ms. It is immutable.
type Threshold struct {
	figure figure
	op     string
	text   string  // the value as it was written
	value  float64 // in the figure's own unit
}

// figure is something of a Result that a threshold can look at.
type figure struct {
	name string
	unit unit
	of   reader
}

// reader reads a figure of a run; an error says why there is none.
type reader func(*load.Result) (float64, error)

// unit is how the values of a figure are written.
type unit int

const (
	asTime  unit = iota // a duration; the figure is in seconds
	asCount             // a number
	asShare             // a percentage, or a part of one
	asRate              // a number, per second
)

// longestExpr bounds an expression, which is quoted in errors.
const longestExpr = 100

// ParseThreshold reads an expression: NAME OP VALUE, with >, >=, < or <= for
// OP. The value of a latency or of cpu_per_request is a duration (5ms, 20us),
// that of error_rate a percentage (0.1%) or a part of one (0.001), any other a
// number. `uncorrected.` before the name of a latency takes the uncorrected one.
func ParseThreshold(expr string) (Threshold, error) {
	fail := func(err error) (Threshold, error) {
		return Threshold{}, fmt.Errorf("parse threshold %q: %w", clean(expr, longestExpr), err)
	}
	if len(expr) > longestExpr {
		return fail(fmt.Errorf("it is longer than %d characters", longestExpr))
	}
	at := strings.IndexAny(expr, "<>")
	if at < 0 {
		return fail(errors.New("want NAME>VALUE, such as p99>5ms, with >, >=, < or <="))
	}
	t := Threshold{op: expr[at : at+1]}
	rest := expr[at+1:]
	if strings.HasPrefix(rest, "=") {
		t.op, rest = t.op+"=", rest[1:]
	}
	t.text = strings.TrimSpace(rest)
	var err error
	if t.figure, err = figureOf(strings.TrimSpace(expr[:at])); err != nil {
		return fail(err)
	}
	if t.value, err = parseValue(t.text, t.figure.unit); err != nil {
		return fail(err)
	}
	return t, nil
}

// String is the expression, without spaces. It parses to the same threshold.
func (t Threshold) String() string { return t.figure.name + t.op + t.text }

// Check reports whether a run failed by the threshold, and why: with the measured
// figure. A run without the figure fails too, so that no check is skipped silently.
func (t Threshold) Check(r *load.Result) (failed bool, why string) {
	if t.figure.of == nil {
		return true, "an empty threshold"
	}
	got, err := t.figure.of(r)
	if err != nil {
		return true, fmt.Sprintf("%s: cannot be checked: %v", t, err)
	}
	switch t.op {
	case ">":
		failed = got > t.value
	case ">=":
		failed = got >= t.value
	case "<":
		failed = got < t.value
	case "<=":
		failed = got <= t.value
	}
	if !failed {
		return false, ""
	}
	return true, fmt.Sprintf("%s: %s is %s", t, t.figure.name, t.figure.unit.write(got))
}

func (u unit) write(f float64) string {
	switch u {
	case asTime:
		return human.Duration(f)
	case asShare:
		return share(f)
	case asRate:
		return perSecond(f) + "/s"
	}
	return short(f)
}

func parseValue(s string, u unit) (float64, error) {
	switch u {
	case asTime:
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return 0, fmt.Errorf("%q is not a duration such as 5ms or 20us", s)
		}
		return d.Seconds(), nil
	case asShare:
		if percent, ok := strings.CutSuffix(s, "%"); ok {
			f, err := parseNumber(strings.TrimSpace(percent))
			return f / 100, err
		}
	}
	return parseNumber(s)
}

// parseNumber takes plain decimals alone: no infinity, no hexadecimals, no sign.
func parseNumber(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || s == "" || strings.Trim(s, "0123456789.") != "" {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return f, nil
}

// uncorrected is put before the name of a latency.
const uncorrected = "uncorrected."

// figures are what a threshold can be about, latencies aside.
func figures() []figure {
	count := func(name string, of func(*load.Result) uint64) figure {
		return figure{name, asCount, always(func(r *load.Result) float64 { return float64(of(r)) })}
	}
	all := []figure{
		count("errors", (*load.Result).Failed),
		{"error_rate", asShare, always(errorRate)},
		{"rate", asRate, always(requestRate)},
		count("requests", func(r *load.Result) uint64 { return r.Requests }),
		{"cpu_per_request", asTime, cpuPerRequest},
	}
	for _, class := range load.Classes() {
		all = append(all, count(string(class), func(r *load.Result) uint64 { return r.Errors[class] }))
	}
	return all
}

func figureOf(name string) (figure, error) {
	bare, raw := strings.CutPrefix(name, uncorrected)
	if q, ok := pointOf(bare); ok {
		return figure{name, asTime, latencyOf(q, raw)}, nil
	}
	var names []string
	for _, q := range namedPoints() {
		names = append(names, q.name)
	}
	for _, f := range figures() {
		if f.name == name {
			return f, nil
		}
		names = append(names, f.name)
	}
	hint := nearest.Hint(name, names)
	if digits, ok := strings.CutPrefix(name, "p"); ok && len(digits) > 2 {
		meant := "p" + digits[:2] + "." + digits[2:]
		if _, ok := pointOf(meant); ok {
			hint = fmt.Sprintf("; did you mean %q?", meant)
		}
	}
	return figure{}, fmt.Errorf("unknown name %q%s (the names are %s; latencies also as %sp99)",
		name, hint, strings.Join(names, ", "), uncorrected)
}

func always(of func(*load.Result) float64) reader {
	return func(r *load.Result) (float64, error) { return of(r), nil }
}

func requestRate(r *load.Result) float64 { return r.RequestsPS }

func cpuPerRequest(r *load.Result) (float64, error) {
	if r.Server == nil {
		return 0, errors.New("the server's CPU was not measured")
	}
	if r.Requests == 0 {
		return 0, errNoAnswers
	}
	return r.Server.PerRequestUS / 1e6, nil
}

var errNoAnswers = errors.New("no request was answered")

// latencyOf reads a point of a run's latencies; raw takes the uncorrected ones.
func latencyOf(q point, raw bool) reader {
	return func(r *load.Result) (float64, error) {
		l := &r.Corrected
		if raw {
			l = &r.Uncorrected
		}
		if l.Count == 0 {
			return 0, errNoAnswers
		}
		v := q.of(l)
		if math.IsNaN(v) {
			return 0, errors.New("the histogram cannot be read")
		}
		return v, nil
	}
}

// namedPoints are the points that have a name: the quantiles of the tables, the
// mean and the minimum.
func namedPoints() []point {
	return append(points(),
		point{"mean", func(l *load.Latency) float64 { return l.MeanS }},
		point{"min", func(l *load.Latency) float64 { return l.MinS }})
}

// pointOf finds a point by its name, or makes one of any other percentile, which
// is NaN if the histogram cannot be read.
func pointOf(name string) (point, bool) {
	for _, q := range namedPoints() {
		if q.name == name {
			return q, true
		}
	}
	digits, ok := strings.CutPrefix(name, "p")
	percentile, err := parseNumber(digits)
	if !ok || err != nil || percentile <= 0 || percentile > 100 {
		return point{}, false
	}
	return point{name, func(l *load.Latency) float64 {
		h, err := l.Hist()
		if err != nil {
			return math.NaN()
		}
		return float64(h.ValueAtPercentile(percentile)) / 1e9
	}}, true
}
