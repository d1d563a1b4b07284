package load

import (
	"errors"
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range of the histograms: nanoseconds, up to an hour.
const (
	lowest  = 1
	highest = int64(3600e9)
)

// How many digits a histogram keeps of each value. One of a whole run is fine;
// that of a second, which is added up while the run goes on, is coarse: it is
// an eighth as long.
const (
	fine   = 3
	coarse = 2
)

func newHistogram(digits int) *hdrhistogram.Histogram {
	return hdrhistogram.New(lowest, highest, digits)
}

// latencies are those of a whole window.
type latencies struct {
	uncorrected *hdrhistogram.Histogram // since the request was sent
	corrected   *hdrhistogram.Histogram // since it should have been; nil in a closed loop
}

func newLatencies(open bool) *latencies {
	l := &latencies{uncorrected: newHistogram(fine)}
	if open {
		l.corrected = newHistogram(fine)
	}
	return l
}

func (l *latencies) merge(other *latencies) {
	l.uncorrected.Merge(other.uncorrected)
	if l.corrected != nil {
		l.corrected.Merge(other.corrected)
	}
}

// record adds a latency in nanoseconds. One beyond the range counts as its end.
func record(h *hdrhistogram.Histogram, ns int64) {
	_ = h.RecordValue(min(max(ns, 0), highest)) // in range by its bounds
}

// NewLatency sums up a histogram of nanoseconds, which it keeps.
func NewLatency(h *hdrhistogram.Histogram) Latency {
	l := Latency{hist: h, Count: uint64(h.TotalCount())}
	if encoded, err := h.EncodeV2(); err == nil {
		l.Histogram = string(encoded)
	}
	if l.Count == 0 {
		return l
	}
	l.MinS, l.MeanS, l.MaxS = seconds(h.Min()), h.Mean()/1e9, seconds(h.Max())
	for _, q := range []struct {
		to *float64
		at float64
	}{{&l.P50S, 50}, {&l.P75S, 75}, {&l.P90S, 90}, {&l.P95S, 95}, {&l.P99S, 99}, {&l.P999S, 99.9}, {&l.P9999, 99.99}} {
		*q.to = seconds(h.ValueAtQuantile(q.at))
	}
	return l
}

// Hist returns the distribution, which it decodes the first time if it came
// from JSON. The caller must not change it.
func (l *Latency) Hist() (*hdrhistogram.Histogram, error) {
	if l.hist != nil {
		return l.hist, nil
	}
	if l.Histogram == "" {
		return nil, errors.New("decode histogram: there is none")
	}
	h, err := hdrhistogram.Decode([]byte(l.Histogram))
	if err != nil {
		return nil, fmt.Errorf("decode histogram: %w", err)
	}
	l.hist = h
	return h, nil
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }
