package loadreport

import (
	"fmt"
	"math"
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

// roundUp returns the first of 1, 2 and 5 times a power of ten that is not
// below v, which is positive.
func roundUp(v float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*decade >= v*(1-1e-9) {
			return m * decade
		}
	}
	return 10 * decade
}

// roundDown returns the last such number that is not above v.
func roundDown(v float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{5, 2} {
		if m*decade <= v*(1+1e-9) {
			return m * decade
		}
	}
	return decade
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
	fine, coarse := []float64{}, []float64{}
	for exponent := math.Floor(math.Log10(low)); exponent <= math.Ceil(math.Log10(high)); exponent++ {
		for _, m := range []float64{1, 2, 5} {
			v := m * math.Pow(10, exponent)
			if v < low*(1-1e-9) || v > high*(1+1e-9) {
				continue
			}
			fine = append(fine, v)
			if m == 1 {
				coarse = append(coarse, v)
			}
		}
	}
	if len(fine) <= most {
		return fine
	}
	return coarse
}

// timeTick writes a round time: 5 ms, 200 µs.
func timeTick(seconds float64) string {
	digits := func(f float64) string { return short(threeDigits(f)) }
	switch {
	case seconds == 0:
		return "0"
	case seconds < 0.9995e-6:
		return digits(seconds*1e9) + " ns"
	case seconds < 0.9995e-3:
		return digits(seconds*1e6) + " µs"
	case seconds < 0.9995:
		return digits(seconds*1e3) + " ms"
	}
	return digits(seconds) + " s"
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
