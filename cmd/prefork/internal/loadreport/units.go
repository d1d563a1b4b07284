package loadreport

import (
	"fmt"
	"math"
	"strconv"

	"prefork/cmd/prefork/internal/human"
)

// duration writes a time as people say it, to three digits: 83 µs, 1.24 ms.
func duration(seconds float64) string {
	s := threeDigits(seconds)
	switch {
	case !(s > 0): // nothing, or not a time at all
		return "0 s"
	case s < 1e-6:
		return fmt.Sprintf("%.0f ns", s*1e9)
	case s < 1e-5:
		return fmt.Sprintf("%.1f µs", s*1e6)
	case s < 1e-3:
		return fmt.Sprintf("%.0f µs", s*1e6)
	case s < 1:
		return digits3(s*1e3) + " ms"
	}
	return digits3(s) + " s"
}

// cost writes a processor time, whose tenth of a microsecond matters.
func cost(us float64) string {
	us = threeDigits(us)
	switch {
	case !(us > 0):
		return "0 µs"
	case us < 1e3:
		return digits3(us) + " µs"
	}
	return duration(us / 1e6)
}

// threeDigits rounds before a unit is chosen, so that 999.7 µs is 1.00 ms.
func threeDigits(f float64) float64 {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(f, 'e', 2, 64), 64)
	if err != nil {
		return f
	}
	return rounded
}

func digits3(f float64) string {
	switch {
	case f < 10:
		return fmt.Sprintf("%.2f", f)
	case f < 100:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.0f", f)
}

// short writes a number without zeros that say nothing: a tick of an axis, a
// flag's value.
func short(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// plain writes seconds that somebody asked for: 10 s, 0.5 s.
func plain(seconds float64) string {
	return short(math.Round(seconds*1000)/1000) + " s"
}

// perSecond writes a rate; the digit after the point matters only to a slow one.
func perSecond(rate float64) string {
	if rate < 100 {
		return fmt.Sprintf("%.1f", rate)
	}
	return fmt.Sprintf("%.0f", rate)
}

// share writes a part of one in percent, and never as 0 what is more.
func share(part float64) string {
	percent := part * 100
	switch {
	case !(percent > 0):
		return "0 %"
	case percent < 0.001:
		return "<0.001 %"
	case percent < 0.1:
		return fmt.Sprintf("%.3f %%", percent)
	}
	return fmt.Sprintf("%.1f %%", percent)
}

// counted is a number and what there is that many of.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// clean makes foreign text fit to be shown on one line, and cuts what is longer
// than most runes.
func clean(s string, most int) string { return human.Cut(human.CleanLine(s), most) }
