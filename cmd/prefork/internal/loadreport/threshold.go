package loadreport

import (
	"errors"
	"fmt"
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
	name   string
	op     string
	text   string  // the value as it was written
	value  float64 // in the figure's own unit
	figure figure
}

// figure is something of a Result that a threshold can look at.
type figure struct {
	unit unit
	of   func(*load.Result) (float64, error) // an error says why there is none
}

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
	t := Threshold{name: strings.TrimSpace(expr[:at]), op: expr[at : at+1]}
	rest := expr[at+1:]
	if strings.HasPrefix(rest, "=") {
		t.op, rest = t.op+"=", rest[1:]
	}
	t.text = strings.TrimSpace(rest)
	var err error
	if t.figure, err = figureOf(t.name); err != nil {
		return fail(err)
	}
	if t.value, err = parseValue(t.text, t.figure.unit); err != nil {
		return fail(err)
	}
	return t, nil
}

// String is the expression, without spaces. It parses to the same threshold.
func (t Threshold) String() string { return t.name + t.op + t.text }

// Check says whether a run failed by the threshold, and why: with the figure
// that was measured. A figure that the run does not have fails it too, for
// nobody asks for a check that never happens.
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
	return true, fmt.Sprintf("%s: %s is %s", t, t.name, t.figure.unit.write(got))
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

// figureOf finds what a name stands for.
func figureOf(name string) (figure, error) {
	if f, ok := latencyFigure(name); ok {
		return f, nil
	}
	switch name {
	case "errors":
		return count(func(r *load.Result) uint64 { return r.Failed() }), nil
	case "requests":
		return count(func(r *load.Result) uint64 { return r.Requests }), nil
	case "error_rate":
		return figure{asShare, func(r *load.Result) (float64, error) { return errorRate(r), nil }}, nil
	case "rate":
		return figure{asRate, func(r *load.Result) (float64, error) { return r.RequestsPS, nil }}, nil
	case "cpu_per_request":
		return figure{asTime, cpuPerRequest}, nil
	}
	for _, class := range load.Classes() {
		if name == string(class) {
			return count(func(r *load.Result) uint64 { return r.Errors[class] }), nil
		}
	}
	names := thresholdNames()
	hint := nearest.Hint(name, names)
	if digits, ok := strings.CutPrefix(name, "p"); ok && len(digits) > 2 {
		if meant := "p" + digits[:2] + "." + digits[2:]; quantileReader(meant) != nil {
			hint = fmt.Sprintf("; did you mean %q?", meant)
		}
	}
	return figure{}, fmt.Errorf("unknown name %q%s (the names are %s; latencies also as %sp99)",
		name, hint, strings.Join(names, ", "), uncorrected)
}

func count(of func(*load.Result) uint64) figure {
	return figure{asCount, func(r *load.Result) (float64, error) { return float64(of(r)), nil }}
}

func cpuPerRequest(r *load.Result) (float64, error) {
	if r.Server == nil {
		return 0, errors.New("the server's CPU was not measured")
	}
	if r.Requests == 0 {
		return 0, errNoAnswers
	}
	return r.Server.PerRequestUS / 1e6, nil
}

// thresholdNames lists the names for an error that helps.
func thresholdNames() []string {
	var names []string
	for _, q := range points() {
		names = append(names, q.name)
	}
	names = append(names, "mean", "min", "errors", "error_rate", "rate", "requests", "cpu_per_request")
	for _, class := range load.Classes() {
		names = append(names, string(class))
	}
	return names
}

var errNoAnswers = errors.New("no request was answered")

// latencyFigure finds a latency: a quantile of the tables, another percentile,
// the mean or an end.
func latencyFigure(name string) (figure, bool) {
	name, raw := strings.CutPrefix(name, uncorrected)
	read := quantileReader(name)
	if read == nil {
		return figure{}, false
	}
	return figure{asTime, func(r *load.Result) (float64, error) {
		l := &r.Corrected
		if raw {
			l = &r.Uncorrected
		}
		if l.Count == 0 {
			return 0, errNoAnswers
		}
		return read(l)
	}}, true
}

func quantileReader(name string) func(*load.Latency) (float64, error) {
	for _, q := range append(points(),
		point{"mean", func(l *load.Latency) float64 { return l.MeanS }},
		point{"min", func(l *load.Latency) float64 { return l.MinS }}) {
		if q.name == name {
			return func(l *load.Latency) (float64, error) { return q.of(l), nil }
		}
	}
	digits, ok := strings.CutPrefix(name, "p")
	if !ok {
		return nil
	}
	percentile, err := parseNumber(digits)
	if err != nil || percentile <= 0 || percentile > 100 {
		return nil
	}
	return func(l *load.Latency) (float64, error) {
		h, err := l.Hist()
		if err != nil {
			return 0, err
		}
		return float64(h.ValueAtPercentile(percentile)) / 1e9, nil
	}
}
