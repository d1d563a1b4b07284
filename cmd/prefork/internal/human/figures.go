package human

import (
	"fmt"
	"time"

	"prefork/internal/value"
)

// longest is the longest time that is written, in seconds.
const longest = 250 * 365 * 86400

// Age writes seconds in at most six columns: 42s, 5m10s, 3h20m, 12d04h, 400d.
func Age(seconds float64) string {
	s := int64(min(max(seconds, 0), longest))
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

// Duration writes a time with three digits, or in whole seconds from a minute
// on: 83µs, 1.24ms, 250ms, 1h0m5s.
func Duration(seconds float64) string {
	if !(seconds > 0) { // or no number at all
		return "0s"
	}
	return value.RoundedText(time.Duration(min(seconds, longest) * 1e9))
}

// Brief writes a time in at most six columns: as Duration, or from a minute on
// as Age.
func Brief(seconds float64) string {
	if seconds >= 59.95 {
		return Age(seconds)
	}
	return Duration(seconds)
}

// Bytes writes a size with its unit: 512 B, 12.4 MiB.
func Bytes(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
