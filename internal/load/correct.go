package load

import "github.com/HdrHistogram/hdrhistogram-go"

// correct adds to a histogram of a closed loop the requests that its clients did
// not send while they waited. An answer that took v stands for others, sent an
// expected interval apart, that would have taken v-interval, v-2*interval and so
// on down to the interval. HdrHistogram does the same if it knows the interval
// beforehand, but here it is known only at the end.
func correct(to, from *hdrhistogram.Histogram, interval int64) {
	to.Merge(from)
	if interval <= 0 {
		return
	}
	for _, bar := range from.Distribution() {
		if bar.Count > 0 && bar.To >= 2*interval {
			fill(to, (bar.From+bar.To)/2, interval, bar.Count)
		}
	}
}

// fill adds v-interval, v-2*interval and so on, count times each. Values that
// the histogram holds for one are added together, so that a long wait in short
// intervals costs no more than the histogram is long.
func fill(h *hdrhistogram.Histogram, v, interval, count int64) {
	for v -= interval; v >= interval; {
		// A power of two below v/1024 is as fine as the histogram at v.
		grain := int64(1)
		for grain < v>>11 {
			grain <<= 1
		}
		steps := max(1, grain/interval)
		steps = min(steps, v/interval)
		_ = h.RecordValues(min(v, highest), steps*count)
		v -= steps * interval
	}
}
