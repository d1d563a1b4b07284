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
	for _, s := range secondsOf(r) {
		var marks []string
		for _, m := range s.marks {
			// The moment is first so that no cell begins with what a spreadsheet
			// would take for a formula.
			marks = append(marks, fmt.Sprintf("%.3f %s", m.AtS, markText(m, 200)))
		}
		_ = out.Write([]string{
			short(s.at), fmt.Sprintf("%.3f", s.span),
			strconv.FormatUint(s.requests, 10), fmt.Sprintf("%.1f", s.rate()),
			strconv.FormatUint(s.errors, 10), strconv.Itoa(s.active),
			exact(s.p50), exact(s.p99), exact(s.max),
			strings.Join(marks, "; "),
		})
	}
	out.Flush()
	return out.Error()
}

// exact writes seconds to the nanosecond that they were measured to.
func exact(seconds float64) string { return strconv.FormatFloat(seconds, 'f', 9, 64) }
