// Package stat holds the few statistics that the benchmarks report: medians
// with the least and the greatest beside them, and quantiles by nearest rank,
// so that each figure but the median of an even number was really measured.
package stat

import (
	"cmp"
	"math"
	"slices"
)

// Spread is a median, and how far the values lay apart.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Of returns the spread of the values; the zero value if there are none.
func Of(values []float64) Spread {
	n := len(values)
	if n == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	return Spread{
		Median: (sorted[(n-1)/2] + sorted[n/2]) / 2,
		Min:    sorted[0],
		Max:    sorted[n-1],
	}
}

// Ratios divides pair by pair. Both must have the same length.
func Ratios(values, base []float64) []float64 {
	ratios := make([]float64, len(values))
	for i, v := range values {
		ratios[i] = v / base[i]
	}
	return ratios
}

// Quantile returns the least of the sorted values that is no less than a share
// q of them; the zero value if there are none.
func Quantile[T cmp.Ordered](sorted []T, q float64) T {
	if len(sorted) == 0 {
		var none T
		return none
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
