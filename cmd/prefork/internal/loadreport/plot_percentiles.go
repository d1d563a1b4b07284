package loadreport

import (
	"fmt"
	"math"
	"strings"

	"prefork/cmd/prefork/internal/human"
	"prefork/internal/load"
)

// mostNines is the end of the axis of percentiles: 99.99999 %.
const mostNines = 7.0

// percentiles draws latency by percentile. Each nine has the same width on the axis,
// because the slow requests matter most.
func (d *drawing) percentiles(r *load.Result) error {
	const height = 270.0
	top := d.y + 40
	bottom := top + height
	d.text(20, d.y+22, "head", "start", "Latency by percentile")
	if r.Corrected.Count == 0 {
		d.text((plotLeft+plotRight)/2, top+20, "faint", "middle", "no request was answered")
		d.y = top + 30
		return nil
	}
	d.y = bottom + 40
	low, high := r.Corrected.MinS, r.Corrected.MaxS
	if r.Uncorrected.Count > 0 {
		low, high = math.Min(low, r.Uncorrected.MinS), math.Max(high, r.Uncorrected.MaxS)
	}
	y := latencyScale(low, high, bottom, top)
	nines := min(max(math.Ceil(math.Log10(float64(r.Corrected.Count))), 2), mostNines)
	x := scale{low: 0, high: nines, from: plotLeft, to: plotRight}
	for _, v := range logTicks(y.low, y.high, 9) {
		d.line(plotLeft, y.at(v), plotRight, y.at(v), "grid")
		d.text(plotLeft-8, y.at(v)+4, "faint", "end", human.Duration(v))
	}
	d.nines(x, nines, top, bottom)
	curves := []struct {
		class, name string
		l           *load.Latency
	}{{"corrected", "corrected", &r.Corrected}, {"uncorrected", "uncorrected", &r.Uncorrected}}
	for i, c := range curves {
		data, err := curve(c.l, x, y)
		if err != nil {
			return err
		}
		d.path(data, "line "+c.class)
		at := plotRight - 420 + 210*float64(i)
		d.line(at, top-22, at+26, top-22, "line "+c.class)
		d.text(at+32, top-18, "strong", "start", fmt.Sprintf("%s, max %s", c.name, human.Duration(c.l.MaxS)))
	}
	if r.Correction != "" {
		d.text(plotLeft, bottom+36, "faint", "start", escape("corrected by "+r.Correction, 60))
	}
	return nil
}

// latencyScale is a logarithmic axis of round ends. What a file may hold beyond
// a nanosecond and a day is drawn at the edge.
func latencyScale(low, high, bottom, top float64) scale {
	low, high = min(max(low, 1e-9), 86400), min(max(high, 1e-9), 86400)
	s := scale{low: roundDown(low), high: roundUp(high), from: bottom, to: top, log: true}
	if s.high <= s.low*1.5 {
		s.low, s.high = s.low/2, s.high*2
	}
	return s
}

func (d *drawing) nines(x scale, nines, top, bottom float64) {
	names := []string{"0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %", "99.99999 %"}
	for i, name := range names {
		if float64(i) > nines {
			break
		}
		at := x.at(float64(i))
		d.line(at, top, at, bottom+5, "grid")
		anchor := "middle"
		if float64(i) == nines {
			anchor = "end"
		}
		d.text(at, bottom+19, "faint", anchor, name)
	}
	half := x.at(math.Log10(2))
	d.line(half, top, half, bottom+5, "grid")
	d.text(half, bottom+19, "faint", "middle", "50 %")
	d.line(plotLeft, bottom, plotRight, bottom, "axis")
	d.text(plotRight, bottom+36, "faint", "end", "percentile of requests")
}

// samplesPerNine is how finely a curve is drawn.
const samplesPerNine = 50

// curve is the path of a distribution, up to the percentile that its count allows:
// a thousand requests say nothing about 99.99 %.
func curve(l *load.Latency, x, y scale) (string, error) {
	if l.Count == 0 {
		return "", nil
	}
	h, err := l.Hist()
	if err != nil {
		return "", err
	}
	end := min(math.Log10(float64(l.Count)), x.high)
	var percentiles []float64
	var at []float64
	for i := 0; float64(i) < end*samplesPerNine; i++ {
		nines := float64(i) / samplesPerNine
		at = append(at, nines)
		percentiles = append(percentiles, 100*(1-math.Pow(10, -nines)))
	}
	at = append(at, end)
	percentiles = append(percentiles, 100) // the last one is the worst of all
	values := h.ValueAtPercentilesSlice(percentiles)
	var b strings.Builder
	for i, v := range values {
		step := "L"
		if i == 0 {
			step = "M"
		}
		fmt.Fprintf(&b, "%s%.1f %.1f ", step, x.at(at[i]), y.at(max(float64(v), 1)/1e9))
	}
	return b.String(), nil
}
