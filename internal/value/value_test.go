package value

import (
	"strings"
	"testing"
	"time"
)

func TestASizeIsReadFromTOMLOrAFlag(t *testing.T) {
	for _, c := range []struct {
		raw  any
		want Size
	}{
		{int64(7), 7}, {"7", 7}, {"7B", 7}, {"0B", 0}, {"64KiB", 64 << 10}, {"64 KiB", 64 << 10},
		{"1TiB", 1 << 40}, {"2GiB", 2 << 30}, {"3MiB", 3 << 20}, {"1TB", 1e12}, {"1GB", 1e9}, {"1MB", 1e6}, {"1kB", 1e3}, {"1KB", 1e3},
	} {
		got, err := ParseSize(c.raw)
		if err != nil || got != c.want {
			t.Errorf("%#v: %d, %v; want %d", c.raw, got, err, c.want)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%s reads as %d, %v; want %d", got, again, err, got)
		}
	}
	for raw, want := range map[any]string{
		int64(-1): "at least 0", "-1": "want a size", 1.5: "not 1.5", "": `not ""`, "KiB": "want a size", "1.5KiB": "want a size", "1PiB": "want a size",
		"99999999999TiB": "more than 64 bits", true: "not true", nil: "not nothing",
	} {
		if got, err := ParseSize(raw); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%#v: %v, %v; want an error with %q", raw, got, err, want)
		}
	}
}

func TestADurationIsReadFromText(t *testing.T) {
	for _, raw := range []any{"90s", "1m30s"} {
		if d, err := ParseDuration(raw); err != nil || d != 90*time.Second {
			t.Errorf("%#v: %v, %v", raw, d, err)
		}
	}
	for raw, want := range map[any]string{int64(5): "not 5", "5": `not "5"`, nil: "not nothing"} {
		if d, err := ParseDuration(raw); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%#v: %v, %v; want an error with %q", raw, d, err, want)
		}
	}
}

func TestADurationsTextIsShortAndExact(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", time.Hour: "1h", 90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s", 1234567: "1.234567ms"} {
		if got := DurationText(d); got != want {
			t.Errorf("%d reads %s, want %s", d, got, want)
		}
	}
}

func TestDurationsAreRoundedForPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                                 "0s",
		999:                               "999ns",
		1234567:                           "1.23ms",
		999999999:                         "1s",
		-1234567:                          "-1.23ms",
		30 * time.Second:                  "30s",
		time.Minute:                       "1m",
		90*time.Second + time.Millisecond: "1m30s",
		time.Hour:                         "1h",
		10 * time.Hour:                    "10h",
		time.Hour + time.Second:           "1h0m1s",
		time.Hour + 20*time.Minute:        "1h20m",
	} {
		if got := RoundedText(d); got != want {
			t.Errorf("%d reads %s, want %s", d, got, want)
		}
	}
}
