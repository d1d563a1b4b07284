package loadreport

import (
	"fmt"
	"strconv"

	"prefork/cmd/prefork/internal/human"
)

func threeDigits(f float64) float64 {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(f, 'e', 2, 64), 64)
	if err != nil {
		return f
	}
	return rounded
}

// short writes a number without zeros that say nothing: a tick of an axis, a
// flag's value.
func short(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

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
