package loadreport

import (
	"fmt"
	"math"
	"strings"

	"prefork/cmd/prefork/internal/human"
	"prefork/internal/load"
)

// mostBars bounds the lines of the text histogram.
const mostBars = 14

// distribution draws the corrected latencies as bars, in buckets that grow.
func (t *draft) distribution() error {
	bars, err := barsOf(&t.r.Corrected)
	if err != nil || len(bars) == 0 {
		return err
	}
	t.b.WriteByte('\n')
	table := human.NewTable([]string{"FROM", "TO", "", "SHARE", "REQUESTS"}, 2)
	var most uint64
	for _, b := range bars {
		most = max(most, b.count)
	}
	room := max(t.width-2*8-9-20-8, 8)
	for _, b := range bars {
		part := float64(b.count) / float64(t.r.Corrected.Count)
		table.Add(human.Cells(human.Duration(b.from), human.Duration(b.to), bar(b.count, most, room), share(part), fmt.Sprint(b.count))...)
	}
	table.Render(&t.b, t.p)
	return nil
}

// bucket counts the latencies between two edges, in seconds.
type bucket struct {
	from, to float64
	count    uint64
}

// barsOf sorts a distribution into buckets with round edges: as fine as makes
// no more than mostBars of them.
func barsOf(l *load.Latency) ([]bucket, error) {
	if l.Count == 0 {
		return nil, nil
	}
	h, err := l.Hist()
	if err != nil {
		return nil, err
	}
	low, high := math.Max(float64(h.Min()), 1), math.Max(float64(h.Max()), 1)
	var edges []float64
	for _, mantissas := range [][]float64{{1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8}, {1, 1.5, 2, 3, 5, 7}, {1, 2, 5}, {1}} {
		if edges = rounds(low, high*(1+1e-8), mantissas...); len(edges)-1 <= mostBars {
			break
		}
	}
	bars := make([]bucket, len(edges)-1)
	for i := range bars {
		bars[i].from, bars[i].to = edges[i]/1e9, edges[i+1]/1e9
	}
	i := 0
	for _, b := range h.Distribution() {
		for i < len(bars)-1 && float64(b.From) >= edges[i+1] {
			i++
		}
		bars[i].count += uint64(b.Count)
	}
	// The extremes are those of the histogram's cells, which may reach over an edge.
	for bars[len(bars)-1].count == 0 && len(bars) > 1 {
		bars = bars[:len(bars)-1]
	}
	return bars, nil
}

// bar draws n of most in up to room characters. What is there can be seen,
// however little it is.
func bar(n, most uint64, room int) string {
	if n == 0 || most == 0 {
		return ""
	}
	eighths := int(math.Round(float64(n) / float64(most) * float64(room) * 8))
	eighths = max(eighths, 1)
	full, rest := eighths/8, eighths%8
	s := strings.Repeat("█", full)
	if rest > 0 {
		s += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return s
}
