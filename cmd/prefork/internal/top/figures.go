package top

import (
	"fmt"
	"strings"
)

// unknown stands where there is no figure.
const unknown = "-"

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
