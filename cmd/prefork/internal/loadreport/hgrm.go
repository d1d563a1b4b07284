package loadreport

import (
	"fmt"
	"io"
	"math"
	"math/bits"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"prefork/internal/load"
)

// ticksPerHalf is how many lines stand between a percentile and the one that
// halves the distance to 100: the default of HdrHistogram's tools.
const ticksPerHalf = 5

// Hgrm writes the corrected latencies, in milliseconds, as the table that
// AbstractHistogram.outputPercentileDistribution of HdrHistogram's Java library
// prints and its plotters read. The Go library's own PercentilesPrint rounds
// percentiles to six digits, where those of a million requests end.
func Hgrm(w io.Writer, r *load.Result) error {
	h, err := r.Corrected.Hist()
	if err != nil {
		return err
	}
	const scale = 1e6
	var b strings.Builder
	fmt.Fprintf(&b, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")
	for _, line := range h.CumulativeDistributionWithTicks(ticksPerHalf) {
		part := line.Quantile / 100
		fmt.Fprintf(&b, "%12.3f %2.12f %10d", float64(line.ValueAt)/scale, part, line.Count)
		if part < 1 {
			fmt.Fprintf(&b, " %14.2f", 1/(1-part))
		}
		b.WriteByte('\n')
	}
	buckets, sub := geometry(h)
	fmt.Fprintf(&b, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", h.Mean()/scale, h.StdDev()/scale)
	fmt.Fprintf(&b, "#[Max     = %12.3f, Total count    = %12d]\n", float64(h.Max())/scale, h.TotalCount())
	fmt.Fprintf(&b, "#[Buckets = %12d, SubBuckets     = %12d]\n", buckets, sub)
	_, err = io.WriteString(w, b.String())
	return err
}

// geometry counts the buckets of a histogram as its constructor does: there
// are enough sub-buckets to tell the significant digits apart, and each bucket
// doubles the range.
func geometry(h *hdrhistogram.Histogram) (buckets int, sub int64) {
	distinct := uint64(2 * math.Pow10(int(h.SignificantFigures())))
	sub = int64(1) << bits.Len64(distinct-1) // the next power of two
	buckets = 1
	for reach := sub; reach <= h.HighestTrackableValue() && reach > 0; reach <<= 1 {
		buckets++
	}
	return buckets, sub
}
