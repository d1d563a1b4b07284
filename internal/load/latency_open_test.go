package load

import (
	"math"
	"net"
	"sync"
	"testing"
	"time"
)

// A server stalls once. Many requests become due during the stall. The corrected
// latencies must show it, although nearly all requests were answered quickly
// after they were sent.
func TestAStallShowsInTheCorrectedLatencies(t *testing.T) {
	const stall = 400 * time.Millisecond
	var once sync.Once
	url := plain(t, func(c *net.TCPConn, n int) {
		lines(func(n int, line string) (string, bool) {
			if n == 30 {
				once.Do(func() { <-time.After(stall) })
			}
			return line, true
		})(c, n)
	})
	r := do(t, Options{URL: url, Rate: "100", Connections: 1, Requests: 100, Expect: "echo"})
	if r.Failed() != 0 || r.Requests != 100 || r.Correction != "intended send time" {
		t.Fatalf("%d requests, errors %v, %s", r.Requests, r.Errors, r.Correction)
	}
	// 40 of 100 requests became due during the stall, and one was sent before it.
	if r.Corrected.P90S < stall.Seconds()/4 {
		t.Errorf("corrected p90 %v s does not show a stall of %v", r.Corrected.P90S, stall)
	}
	if r.Uncorrected.P90S > r.Corrected.P90S/2 || r.Uncorrected.MaxS < stall.Seconds()*0.9 {
		t.Errorf("uncorrected p90 %v s, max %v s; corrected p90 %v s", r.Uncorrected.P90S, r.Uncorrected.MaxS, r.Corrected.P90S)
	}
}

func TestUnsentRequestsAreCountedWithAWarning(t *testing.T) {
	url := plain(t, lines(func(_ int, line string) (string, bool) {
		<-time.After(20 * time.Millisecond)
		return line, true
	}))
	r := do(t, Options{URL: url, Rate: "10000", Connections: 2, Duration: 300 * time.Millisecond, Expect: "echo"})
	if r.Requests+r.Failed()+r.Generator.Unsent != 3000 || r.Generator.Unsent < 2000 || len(r.Generator.Warnings) == 0 {
		t.Errorf("%d requests, %d unsent, warnings %q", r.Requests, r.Generator.Unsent, r.Generator.Warnings)
	}
}

func TestACorrectedHistogramIsWhatHdrHistogramWouldHaveRecorded(t *testing.T) {
	const interval = int64(1000)
	from, want := newHistogram(fine), newHistogram(fine)
	for _, v := range []int64{10, 900, 1000, 1999, 2000, 5500, 1_000_000, 30_000_000_000} {
		record(from, v)
		_ = want.RecordCorrectedValue(v, interval)
	}
	got := newHistogram(fine)
	correct(got, from, interval)
	if d := math.Abs(float64(got.TotalCount()-want.TotalCount())) / float64(want.TotalCount()); d > 0.002 {
		t.Errorf("%d values, want %d", got.TotalCount(), want.TotalCount())
	}
	for _, q := range []float64{1, 25, 50, 90, 99, 99.9, 100} {
		g, w := float64(got.ValueAtQuantile(q)), float64(want.ValueAtQuantile(q))
		if math.Abs(g-w) > 0.005*w {
			t.Errorf("p%v is %v, want %v", q, g, w)
		}
	}
}

func TestACorrectionOfLongWaitsInShortIntervalsEnds(t *testing.T) {
	from, to := newHistogram(fine), newHistogram(fine)
	for i := range int64(1000) {
		record(from, highest-i*1e9)
	}
	correct(to, from, 1)
	if to.TotalCount() <= from.TotalCount() {
		t.Error("nothing was added")
	}
}
