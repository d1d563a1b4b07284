package ipc

import (
	"fmt"
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// Buckets is the number of buckets of a Histogram.
const Buckets = 24

// bucketUnit is where the first bucket ends.
const bucketUnit = 4 * time.Microsecond

const histogramSize = 8 * (Buckets + 1)

// Histogram counts durations in buckets whose bounds double: bucket i holds
// those under 2^i × 4 µs, the last everything from 16.8 s on. Any goroutine may
// observe.
type Histogram struct {
	Counts [Buckets]atomic.Uint64
	SumNS  atomic.Uint64 // of all durations
}

// Observe counts one duration; a negative one counts as 0.
func (h *Histogram) Observe(d time.Duration) { h.ObserveN(d, 1) }

// ObserveN counts n equal durations.
func (h *Histogram) ObserveN(d time.Duration, n int) {
	d = max(d, 0)
	// The bucket is the bit length of d in units: 0 for 0, 1 for 1, 2 for 2 and 3.
	i := bits.Len64(uint64(d / bucketUnit))
	h.Counts[min(i, Buckets-1)].Add(uint64(n))
	h.SumNS.Add(uint64(d) * uint64(n))
}

// Count returns how many durations have been counted.
func (h *Histogram) Count() (n uint64) {
	for i := range h.Counts {
		n += h.Counts[i].Load()
	}
	return n
}

// BucketBound returns the upper bound of bucket i: durations in it are shorter.
// That of the last bucket is the longest duration. It panics if i is no bucket.
func BucketBound(i int) time.Duration {
	switch {
	case i < 0 || i >= Buckets:
		panic(fmt.Sprintf("bucket %d of %d", i, Buckets))
	case i == Buckets-1:
		return math.MaxInt64
	}
	return bucketUnit << i
}
