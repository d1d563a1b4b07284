package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Workers is the size of the pool: one a CPU if both are 0, else from Min to
// Max, which are equal if the pool does not follow the load.
type Workers struct{ Min, Max int }

// String returns the value as the flag takes it.
func (w Workers) String() string {
	switch {
	case w == Workers{}:
		return "auto"
	case w.Min == w.Max:
		return strconv.Itoa(w.Min)
	}
	return fmt.Sprintf("%d-%d", w.Min, w.Max)
}

func parseWorkers(s string) (Workers, error) {
	if s == "auto" {
		return Workers{}, nil
	}
	low, high, ranged := strings.Cut(s, "-")
	if !ranged {
		high = low
	}
	lo, errLow := strconv.ParseUint(low, 10, 31)
	hi, errHigh := strconv.ParseUint(high, 10, 31)
	switch {
	case errLow != nil || errHigh != nil:
		return Workers{}, fmt.Errorf(`want a number, "auto" or "MIN-MAX", not %q`, s)
	case lo < 1:
		return Workers{}, fmt.Errorf("at least 1 worker is needed, not %d", lo)
	case lo > hi:
		return Workers{}, fmt.Errorf("the minimum %d is above the maximum %d", lo, hi)
	case hi > maxWorkers:
		return Workers{}, fmt.Errorf("at most %d, not %d", maxWorkers, hi)
	}
	return Workers{Min: int(lo), Max: int(hi)}, nil
}
