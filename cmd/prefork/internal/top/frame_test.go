package top

import (
	"strings"
	"testing"

	"prefork"
	"prefork/cmd/prefork/internal/control"
	"prefork/cmd/prefork/internal/human"
	"prefork/cmd/prefork/internal/screen"
	"prefork/internal/golden"
)

func TestFramesShowWhatFits(t *testing.T) {
	for _, c := range []struct {
		name            string
		workers, events int
		width, height   int
		keys            []screen.Key
	}{
		{"80x24", 4, 6, 80, 24, nil},
		{"120x40", 6, 12, 120, 40, []screen.Key{'C'}},
		{"60x15", 4, 6, 60, 15, nil},
		{"no-workers", 0, 2, 80, 24, nil},
		{"60-workers", 60, 6, 80, 24, []screen.Key{screen.KeyEnd, screen.KeyUp}},
		{"question", 4, 6, 80, 24, []screen.Key{screen.KeyDown, 'r'}},
		{"help", 4, 6, 80, 24, []screen.Key{'?'}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := loaded(c.workers, c.events)
			press(m, c.keys...)
			golden.Check(t, "testdata/"+c.name+".txt", frame(t, m, c.width, c.height))
		})
	}
	golden.Check(t, "testdata/first.txt", frame(t, New(), 80, 5))
	m := loaded(4, 12)
	golden.Check(t, "testdata/once.txt", plain(m.Text(1<<20, noon)))
}

func TestNoSizeBreaksAFrame(t *testing.T) {
	for _, workers := range []int{0, 1, 4, 60} {
		m := loaded(workers, 9)
		press(m, screen.KeyEnd)
		for _, width := range []int{0, 1, 2, 7, 20, 33, 46, 60, 79, 80, 81, 200} {
			for height := range 30 {
				frame(t, m, width, height)
			}
		}
	}
}

func TestTheSelectedWorkerIsOnTheScreen(t *testing.T) {
	m := loaded(60, 9)
	for _, k := range []screen.Key{screen.KeyDown, screen.KeyPageDown, screen.KeyPageDown, screen.KeyEnd, screen.KeyPageUp, screen.KeyUp, 'O', 'R', screen.KeyHome} {
		m.Press(k)
		for _, height := range []int{24, 12, 8} {
			if f := frame(t, m, 80, height); strings.Count(f, "\n>") != 1 {
				t.Errorf("after %d, on %d rows:\n%s", k, height, f)
			}
		}
	}
}

func TestHostileTextIsEscaped(t *testing.T) {
	m := loaded(2, 1)
	evil := "\x1b[2J\x07\r\n\u202e\u009b31m"
	s := status(2, 12)
	s.Workers[1].Doing, s.Version, s.State, s.Degraded, s.LastReload.Error, s.LastReload.OK = evil, evil, evil, evil, evil, false
	s.Workers[0].State = evil
	m.Feed(control.Item{Status: s})
	m.Feed(control.Item{Event: &prefork.Event{Level: evil, Message: evil, Fields: map[string]any{evil: evil, "error": evil, "list": []any{evil}}}})
	press(m, screen.KeyDown)
	for _, l := range append(m.Frame(200, 30, noon), m.Text(200, noon)...) {
		if text := l.ANSI(false); strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e' }) {
			t.Errorf("line %q", text)
		}
	}
}

func TestNarrowScreensKeepTheMostImportantColumns(t *testing.T) {
	for width, want := range map[int]string{
		79: "SLOT↑ PID GEN STATE ACT ANS/S ERR LAG HEAP RSS CPU% AGE DOING",
		76: "SLOT↑ PID GEN STATE ACT ANS/S ERR LAG RSS CPU% AGE DOING",
		50: "SLOT↑ PID STATE ACT ANS/S CPU% DOING",
		36: "SLOT↑ PID STATE ACT ANS/S",
		20: "SLOT↑ STATE AC…",
	} {
		lines := strings.Split(frame(t, loaded(4, 0), width, 24), "\n")
		if got := strings.Join(strings.Fields(lines[5]), " "); got != want {
			t.Errorf("%d columns: %s, want %s", width, got, want)
		}
	}
}

func TestAShownColumnIsNotCut(t *testing.T) {
	for _, workers := range []int{0, 1, 4, 60} {
		m := loaded(workers, 0)
		for width := 36; width < 130; width++ {
			lines := strings.Split(frame(t, m, width, 24), "\n")
			if strings.Contains(lines[5], "…") {
				t.Errorf("%d workers, %d columns: %s", workers, width, lines[5])
			}
		}
	}
}

func TestFiguresKeepToTheirColumns(t *testing.T) {
	for n, want := range map[float64]string{-1: "0", 0: "0", 0.04: "0", 2.5: "2.5", 9.99: "10", 999: "999", 1000: "1000", 9999: "9999", 12345: "12k", 999999: "1.0M", 1e19: "10E"} {
		if got := count(n); got != want {
			t.Errorf("count(%v) = %s, want %s", n, got, want)
		}
	}
	for n, want := range map[float64]string{0: "0B", 1023: "1.0K", 999: "999B", 1 << 20: "1.0M", 12.4 * 1024 * 1024: "12M", 1 << 63: "8.0E"} {
		if got := size(n); got != want {
			t.Errorf("size(%v) = %s, want %s", n, got, want)
		}
	}
	for f := 1e-7; f < 1e8; f *= 1.37 {
		for _, text := range []string{count(f), size(f), human.Brief(f)} {
			if n := len([]rune(text)); n > 6 {
				t.Errorf("%v is %s", f, text)
			}
		}
	}
	if name, text := fieldText("duration_s", 1.5); name != "duration" || text != "1.5s" {
		t.Error(name, text)
	}
}
