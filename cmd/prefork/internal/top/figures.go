package top

import (
	"fmt"
	"strings"
)

// unknown stands where there is no figure.
const unknown = "-"

// age writes seconds in at most six columns: 42s, 5m10s, 3h20m, 12d04h, 400d.
func age(seconds float64) string {
	s := int64(max(seconds, 0))
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
	}
	if days := s / 86400; days >= 100 {
		return fmt.Sprintf("%dd", days)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s%86400/3600)
}

// brief writes a short time in at most six columns.
func brief(seconds float64) string {
	switch {
	case seconds <= 0:
		return "0"
	case seconds < 0.0009995:
		return fmt.Sprintf("%.0fµs", seconds*1e6)
	case seconds < 0.00995:
		return fmt.Sprintf("%.1fms", seconds*1e3)
	case seconds < 0.9995:
		return fmt.Sprintf("%.0fms", seconds*1e3)
	case seconds < 9.95:
		return fmt.Sprintf("%.1fs", seconds)
	case seconds < 59.5:
		return fmt.Sprintf("%.0fs", seconds)
	}
	return age(seconds)
}

// size writes a number of bytes in at most five columns, in binary units.
func size(n float64) string { return scaled(n, 1024, "BKMGTPE") }

// count writes a number or a rate in at most five columns, in decimal units.
func count(n float64) string { return scaled(n, 1000, " kMGTPE") }

// scaled writes n with the unit in which it has four digits at most.
func scaled(n, base float64, units string) string {
	i := 0
	for n >= 999.5 && i < len(units)-1 && (i > 0 || n >= 9999.5 || base == 1024) {
		n, i = n/base, i+1
	}
	digits := 0
	if n < 9.95 && (i > 0 || base == 1000) {
		digits = 1
	}
	text := fmt.Sprintf("%.*f", digits, max(n, 0))
	if i == 0 {
		text = strings.TrimSuffix(text, ".0")
	}
	return text + strings.TrimSpace(units[i:i+1])
}
