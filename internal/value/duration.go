package value

import (
	"strings"
	"time"
)

// ParseDuration reads a text such as "1m30s".
func ParseDuration(raw any) (time.Duration, error) {
	text, _ := raw.(string)
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, Wrong(`a duration such as "30s" or "1m30s"`, raw)
	}
	return d, nil
}

// DurationText drops the zero units that time.Duration prints: 1h, not 1h0m0s.
func DurationText(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// RoundedText is DurationText of three digits, or of whole seconds from a
// minute on.
func RoundedText(d time.Duration) string {
	unit := time.Nanosecond
	for d/unit >= 1000 || d/unit <= -1000 {
		unit *= 10
	}
	if d >= time.Minute || d <= -time.Minute {
		unit = time.Second
	}
	return DurationText(d.Round(unit))
}
