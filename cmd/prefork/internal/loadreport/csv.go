package loadreport

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"prefork/internal/load"
)

// CSV writes the series, a line a second. The names of the columns have the units;
// the last column has the marks of that second, each with its time.
func CSV(w io.Writer, r *load.Result) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"at_s", "span_s", "requests", "requests_per_s", "errors", "active", "p50_s", "p99_s", "max_s", "marks"}) // an error is returned by Error
	marks := marksBySecond(r)
	for i, s := range r.Series {
		span := spanOf(r, i)
		_ = out.Write([]string{
			short(s.AtS), fmt.Sprintf("%.3f", span),
			strconv.FormatUint(s.Requests, 10), fmt.Sprintf("%.1f", float64(s.Requests)/span),
			strconv.FormatUint(s.Errors, 10), strconv.Itoa(s.Active),
			exact(s.P50S), exact(s.P99S), exact(s.MaxS),
			strings.Join(marks[i], "; "),
		})
	}
	out.Flush()
	return out.Error()
}

// exact writes seconds to the nanosecond that they were measured to.
func exact(seconds float64) string { return strconv.FormatFloat(seconds, 'f', 9, 64) }

// marksBySecond sorts the marks by the index of their second.
func marksBySecond(r *load.Result) map[int][]string {
	starts := make([]row, len(r.Series))
	for i, s := range r.Series {
		starts[i].at = s.AtS
	}
	marks := map[int][]string{}
	for _, m := range marksOf(r) {
		// The moment is first so that no cell begins with what a spreadsheet
		// would take for a formula.
		i := rowAt(starts, m.AtS)
		marks[i] = append(marks[i], fmt.Sprintf("%.3f %s", m.AtS, markText(m, 200)))
	}
	return marks
}
