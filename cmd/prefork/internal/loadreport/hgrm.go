package loadreport

import (
	"fmt"
	"io"
	"strings"

	"prefork/internal/load"
)

// ticksPerHalf is how many lines stand between a percentile and the one that
// halves the distance to 100: the default of HdrHistogram's tools.
const ticksPerHalf = 5

// Hgrm writes the corrected latencies, in milliseconds, as the table that
// AbstractHistogram.outputPercentileDistribution of HdrHistogram's Java library
// prints and its plotters read. The Go library's own PercentilesPrint, which has the
// last lines, rounds percentiles to six digits, where those of a million requests end.
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
	var theirs strings.Builder
	_, _ = h.PercentilesPrint(&theirs, 1, scale) // a Builder takes everything
	_, footer, _ := strings.Cut(theirs.String(), "#")
	_, err = io.WriteString(w, b.String()+"#"+footer)
	return err
}
