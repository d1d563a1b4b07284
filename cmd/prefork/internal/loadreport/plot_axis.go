package loadreport

import (
	"fmt"
	"math"
	"slices"
)

// scale maps values to a coordinate of the drawing.
type scale struct {
	low, high float64 // values
	from, to  float64 // coordinates of low and high
	log       bool
}

func (s scale) at(v float64) float64 {
	low, high := s.low, s.high
	if s.log {
		v, low, high = math.Log(v), math.Log(low), math.Log(high)
	}
	part := (v - low) / (high - low)
	if math.IsNaN(part) {
		part = 0
	}
	return s.from + min(max(part, 0), 1)*(s.to-s.from)
}

// rounds returns the products of a mantissa and a power of ten, from the last one
// that is not above low to the first that is not below high. Both are positive.
func rounds(low, high float64, mantissas ...float64) []float64 {
	var all []float64
	for decade := math.Pow(10, math.Floor(math.Log10(low))); ; decade *= 10 {
		for _, m := range mantissas {
			v := m * decade
			if v <= low*(1+1e-9) {
				all = all[:0]
			}
			all = append(all, v)
			if v >= high*(1-1e-9) {
				return all
			}
		}
	}
}

// roundDown and roundUp return the nearest of 1, 2 and 5 times a power of ten.
func roundDown(v float64) float64 { return rounds(v, v, 1, 2, 5)[0] }

func roundUp(v float64) float64 {
	near := rounds(v, v, 1, 2, 5)
	return near[len(near)-1]
}

// linearTicks returns about want values from 0 to the top of an axis that
// holds high, and that top.
func linearTicks(high float64, want int) (ticks []float64, top float64) {
	if !(high > 0) || math.IsInf(high, 0) {
		high = 1
	}
	step := roundUp(high / float64(want))
	n := int(math.Ceil(high/step - 1e-9)) // want or fewer
	for i := range n + 1 {
		ticks = append(ticks, float64(i)*step)
	}
	return ticks, float64(n) * step
}

// logTicks returns round values between low and high, which are positive: 1, 2
// and 5 of each decade if those are most at most, the decades alone otherwise.
func logTicks(low, high float64, most int) []float64 {
	var ticks []float64
	for _, mantissas := range [][]float64{{1, 2, 5}, {1}} {
		ticks = slices.DeleteFunc(rounds(low, high, mantissas...), func(v float64) bool {
			return v < low*(1-1e-9) || v > high*(1+1e-9)
		})
		if len(ticks) <= most {
			break
		}
	}
	return ticks
}

// countTick writes a round number: 20k, 1.5M.
func countTick(n float64) string {
	switch {
	case n >= 1e9:
		return short(threeDigits(n/1e9)) + "G"
	case n >= 1e6:
		return short(threeDigits(n/1e6)) + "M"
	case n >= 1e4:
		return short(threeDigits(n/1e3)) + "k"
	}
	return fmt.Sprint(threeDigits(n))
}
