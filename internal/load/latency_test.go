package load

import (
	"encoding/json"
	"testing"
)

func TestALatencySurvivesItsJSON(t *testing.T) {
	h := newHistogram(fine)
	for i := range int64(1000) {
		record(h, (i+1)*1e6)
	}
	data, err := json.Marshal(NewLatency(h))
	if err != nil {
		t.Fatal(err)
	}
	var l Latency
	if err := json.Unmarshal(data, &l); err != nil {
		t.Fatal(err)
	}
	if l.Count != 1000 || l.P50S < 0.4995 || l.P50S > 0.501 || l.MaxS < 1 || l.MaxS > 1.001 {
		t.Errorf("summary: %+v", l)
	}
	got, err := l.Hist()
	if err != nil || !got.Equals(h) {
		t.Errorf("the histogram is another: %v, %v", got, err)
	}
}

func TestABrokenHistogramIsAnError(t *testing.T) {
	for _, text := range []string{"", "?", "AAAA", "HISTFAAAAAR42pNp"} {
		l := Latency{Histogram: text}
		if h, err := l.Hist(); err == nil {
			t.Errorf("%q was decoded as %v", text, h)
		}
	}
}

func TestAnEmptyDistributionHasNoQuantiles(t *testing.T) {
	if l := NewLatency(newHistogram(fine)); l.Count != 0 || l.MinS != 0 || l.MaxS != 0 || l.Histogram == "" {
		t.Errorf("summary: %+v", l)
	}
}
