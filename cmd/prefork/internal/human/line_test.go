package human

import (
	"testing"
)

func TestNoTextMovesTheCursor(t *testing.T) {
	hostile := "a\x1b[2J\r\n\tb\u202ec\x00\x7f\u009b2Jd\xff"
	want := "a\uFFFD[2J  b\uFFFDc\uFFFD\uFFFD\uFFFD2Jd\uFFFD"
	l := Line{{hostile, 0}}
	if got := l.ANSI(true); got != want {
		t.Errorf("ANSI: %q, want %q", got, want)
	}
	if got := l.ANSI(false); got != want {
		t.Errorf("plain: %q, want %q", got, want)
	}
}

func TestALineIsCutAtTheEdge(t *testing.T) {
	l := Line{{"abc", Bold}, {"dé", 0}, {"f", Red}}
	for columns, want := range map[int]string{-1: "", 0: "", 1: "…", 2: "a…", 3: "ab…", 4: "abc…", 5: "abcd…", 6: "abcdéf", 9: "abcdéf"} {
		got := l.Fit(columns)
		if got.ANSI(false) != want || got.Width() > max(columns, 0) {
			t.Errorf("%d columns: %q, want %q", columns, got.ANSI(false), want)
		}
	}
}

func TestStylesAreWrittenAndEnded(t *testing.T) {
	l := Line{{"a", Bold | Red}, {"b", 0}, {"", Dim}, {"c", Reverse}}
	if got, want := l.ANSI(true), "\x1b[1;31ma\x1b[0mb\x1b[7mc\x1b[0m"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := l.ANSI(false); got != "abc" {
		t.Errorf("without styles: %q", got)
	}
}
