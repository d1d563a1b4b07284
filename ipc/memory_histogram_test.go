package ipc

import (
	"math"
	"testing"
	"time"
)

func TestADurationIsCountedInTheBucketThatHoldsIt(t *testing.T) {
	const unit = 4 * time.Microsecond
	for _, test := range []struct {
		d    time.Duration
		want int
	}{
		{math.MinInt64, 0},
		{-1, 0},
		{0, 0},
		{unit - 1, 0},
		{unit, 1},
		{2*unit - 1, 1},
		{2 * unit, 2},
		{time.Millisecond, 8},
		{time.Second, 18},
		{BucketBound(22) - 1, 22},
		{BucketBound(22), 23},
		{time.Hour, 23},
		{math.MaxInt64, 23},
	} {
		var h Histogram
		h.Observe(test.d)
		for i := range h.Counts {
			want := uint64(0)
			if i == test.want {
				want = 1
			}
			if got := h.Counts[i].Load(); got != want {
				t.Errorf("%v: bucket %d holds %d, want %d", test.d, i, got, want)
			}
		}
		if got := h.SumNS.Load(); got != uint64(max(test.d, 0)) {
			t.Errorf("%v: the sum is %d", test.d, got)
		}
	}
}

func TestTheBoundsOfTheHistogramAreWhatObserveUses(t *testing.T) {
	if BucketBound(0) != 4*time.Microsecond || BucketBound(22) != 1<<22*4*time.Microsecond {
		t.Errorf("bounds are %v to %v", BucketBound(0), BucketBound(22))
	}
	for i := range Buckets {
		var h Histogram
		if i > 0 {
			h.Observe(BucketBound(i - 1))
		}
		h.Observe(BucketBound(i) - 1)
		if want := uint64(min(i, 1) + 1); h.Counts[i].Load() != want {
			t.Errorf("bucket %d does not begin at the bound of the one before and end at its own", i)
		}
	}
	for _, i := range []int{-1, Buckets} {
		if !panics(func() { BucketBound(i) }) {
			t.Errorf("there is a bucket %d", i)
		}
	}
}
