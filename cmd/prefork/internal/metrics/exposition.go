package metrics

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"prefork"
	"prefork/master"
)

// Format is one of the ways to write metrics down.
type Format int

// The formats. Their text differs little: OpenMetrics names a family of
// counters without its _total, has units, and ends with a mark.
const (
	Text        Format = iota // the Prometheus text format, version 0.0.4
	OpenMetrics               // OpenMetrics 1.0
)

// ContentType returns the format's media type.
func (f Format) ContentType() string {
	if f == OpenMetrics {
		return "application/openmetrics-text; version=1.0.0; charset=utf-8"
	}
	return "text/plain; version=0.0.4; charset=utf-8"
}

// Write appends every metric of the catalogue that has series to b.
func Write(b *bytes.Buffer, f Format, s *prefork.Status) {
	for _, m := range Catalogue() {
		w := &family{b: b, format: f, metric: m}
		if m.Type == Histogram {
			w.histogram(m.histogram(s))
			continue
		}
		m.collect(s, w.add)
	}
	if f == OpenMetrics {
		b.WriteString("# EOF\n")
	}
}

// family writes the series of one metric.
type family struct {
	b      *bytes.Buffer
	format Format
	metric Metric
	begun  bool
	seen   map[string]bool // the labels of what has been written
}

// head writes the comments of a family, once, before its series.
func (w *family) head() {
	if w.begun {
		return
	}
	w.begun = true
	name := w.metric.Name
	if w.format == OpenMetrics && w.metric.Type == Counter {
		name = strings.TrimSuffix(name, "_total")
	}
	w.line("# HELP ", name, " ", escapeHelp(w.metric.Help, w.format))
	w.line("# TYPE ", name, " ", string(w.metric.Type))
	if w.format != OpenMetrics {
		return
	}
	for _, unit := range []string{"seconds", "bytes"} {
		if strings.HasSuffix(name, "_"+unit) {
			w.line("# UNIT ", name, " ", unit)
		}
	}
}

// add writes one series. A second one with the same labels would make the scrape
// invalid, and is left out.
func (w *family) add(value float64, labels ...string) {
	var text strings.Builder
	for i, name := range w.metric.Labels {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString(name + `="` + escapeLabel(labels[i]) + `"`)
	}
	if w.seen[text.String()] {
		return
	}
	if w.seen == nil {
		w.seen = map[string]bool{}
	}
	w.seen[text.String()] = true
	w.head()
	w.series(w.metric.Name, text.String(), number(value))
}

// histogram writes buckets that count everything up to their bound. le is
// inclusive, and our bounds are not; the difference is a nanosecond.
func (w *family) histogram(h master.Histogram) {
	w.head()
	var sum uint64
	for i, n := range h.Counts {
		sum += n
		bound := math.Inf(1)
		if i < len(h.BoundsS) {
			bound = h.BoundsS[i]
		}
		w.series(w.metric.Name+"_bucket", `le="`+boundary(bound)+`"`, strconv.FormatUint(sum, 10))
	}
	if len(h.Counts) == 0 { // the bucket +Inf is not optional
		w.series(w.metric.Name+"_bucket", `le="+Inf"`, "0")
	}
	w.series(w.metric.Name+"_sum", "", number(h.SumS))
	w.series(w.metric.Name+"_count", "", strconv.FormatUint(sum, 10))
}

func (w *family) series(name, labels, value string) {
	if labels != "" {
		labels = "{" + labels + "}"
	}
	w.line(name, labels, " ", value)
}

func (w *family) line(parts ...string) {
	for _, p := range parts {
		w.b.WriteString(p)
	}
	w.b.WriteByte('\n')
}

// number writes whole numbers without an exponent: people read them too.
func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// boundary writes a le as OpenMetrics wants it: always visibly a float, so that
// both formats name the same series.
func boundary(v float64) string {
	if math.IsInf(v, 1) {
		return "+Inf"
	}
	s := strconv.FormatFloat(v, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

// escapeLabel escapes a label's value. What is not UTF-8 would make the scrape
// invalid.
func escapeLabel(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if !strings.ContainsAny(s, "\\\n\"") {
		return s // as the number of a slot: a replacer takes longer to make than the rest of the line
	}
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(s)
}

// escapeHelp escapes a help text: OpenMetrics escapes quotes there too.
func escapeHelp(s string, f Format) string {
	if f == OpenMetrics {
		return escapeLabel(s)
	}
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(s)
}
