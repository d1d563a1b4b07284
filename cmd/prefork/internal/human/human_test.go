package human

import (
	"math"
	"strings"
	"testing"
)

func TestFiguresAreShortAndCorrect(t *testing.T) {
	for seconds, want := range map[float64]string{-1: "0s", 0: "0s", 59.9: "59s", 60: "1m00s", 3599: "59m59s", 3600: "1h00m", 86399: "23h59m", 90000: "1d01h", 34560000: "400d"} {
		if got := Age(seconds); got != want {
			t.Errorf("Age(%v) = %s, want %s", seconds, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 20: "1.0 MiB", 1<<64 - 1: "16.0 EiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %s, want %s", n, got, want)
		}
	}
	for seconds, want := range map[float64]string{0: "0s", math.NaN(): "0s", 820e-9: "820ns", 4e-6: "4µs", 0.0009996: "1ms", 0.00124: "1.24ms", 0.0123: "12.3ms", 0.9996: "1s", 9.96: "9.96s", 59.4: "59.4s", 59.96: "59s", 75: "1m15s", 1e5: "1d03h", 1e300: "91250d"} {
		if got := Brief(seconds); got != want {
			t.Errorf("Brief(%v) = %s, want %s", seconds, got, want)
		}
	}
}

func TestATableAlignsWhatItPaints(t *testing.T) {
	table := NewTable([]string{"NAME", "N"}, 0)
	table.Add(Cell{Text: "a"}, Cell{Text: "1", Style: Red})
	table.Note("about a")
	table.Add(Cells("bcdéf", "100")...)
	var b strings.Builder
	table.Render(&b, Painter{On: true})
	const want = "\x1b[2mNAME\x1b[0m     \x1b[2mN\x1b[0m\na        \x1b[31m1\x1b[0m\nabout a\nbcdéf  100\n"
	if b.String() != want {
		t.Errorf("got:\n%q, want:\n%q", b.String(), want)
	}
}
