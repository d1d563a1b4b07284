package top

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"prefork"
	"prefork/cmd/prefork/internal/control"
	"prefork/cmd/prefork/internal/screen"
	"prefork/master"
)

func pids(m *Model) (pids []int) {
	for _, r := range m.rows() {
		pids = append(pids, r.PID)
	}
	return pids
}

func TestEachLetterSortsByItsColumnAndTwiceReverses(t *testing.T) {
	for _, c := range columns {
		m := loaded(9, 0)
		if c.key != 'S' { // the default order
			m.Press(c.key)
		}
		once := m.rows()
		for i := 1; i < len(once); i++ {
			n := c.compare(&once[i-1], &once[i])
			if c.descends && n < 0 || !c.descends && n > 0 {
				t.Errorf("%s: row %d and the next are out of order", c.name, i-1)
			}
		}
		m.Press(c.key)
		if twice := m.rows(); c.compare(&once[0], &twice[len(twice)-1]) != 0 {
			t.Errorf("%s: twice does not reverse", c.name)
		}
	}
}

func TestSortingCyclesThroughTheColumns(t *testing.T) {
	m := loaded(3, 0)
	for range columns {
		m.Press('s')
	}
	if m.sort != 0 {
		t.Errorf("column %d after a round", m.sort)
	}
	press(m, '<', '>', screen.KeyLeft, screen.KeyRight, 'i')
	if m.sort != 0 || !m.reversed {
		t.Errorf("column %d, reversed %v", m.sort, m.reversed)
	}
}

func TestACommandNeedsAConfirmation(t *testing.T) {
	for key, command := range map[screen.Key]string{'r': "recycle", 'd': "drain-worker"} {
		m := loaded(4, 0)
		press(m, screen.KeyDown, screen.KeyDown)
		if w := press(m, key, 'n'); w != (Wish{}) || m.said != "nothing done" {
			t.Errorf("%c n: %+v, %q", key, w, m.said)
		}
		if w := press(m, key, 'q'); w.Quit {
			t.Error("an answer other than y quits")
		}
		w := press(m, key, 'y')
		if w != (Wish{Command: command, Slot: 2}) {
			t.Errorf("%c y: %+v", key, w)
		}
		m.Say(w, nil)
		if m.bad || !strings.Contains(m.said, "slot 2") || m.waiting != 0 {
			t.Errorf("%c: %q", key, m.said)
		}
		m.Say(w, errors.New("no worker in slot 2"))
		if f := frame(t, m, 80, 24); !strings.Contains(f, "slot 2: no worker in slot 2") {
			t.Errorf("the verdict is not shown:\n%s", f)
		}
	}
}

func TestACommandAppliesToTheWorkerThatWasShown(t *testing.T) {
	m := loaded(4, 0)
	press(m, screen.KeyDown, 'r')
	s := status(4, 12)
	s.Workers[1].PID = 9999
	m.Feed(control.Item{Status: s})
	if w := m.Press('y'); w != (Wish{}) || !m.bad {
		t.Errorf("%+v, %q: the worker in the slot is another one", w, m.said)
	}
}

func TestCommandsUnderWayAreBounded(t *testing.T) {
	m := loaded(4, 0)
	sent := 0
	for range 3 * maxWaiting {
		if w := press(m, 'r', 'y'); w.Command != "" {
			sent++
		}
	}
	if sent != maxWaiting {
		t.Errorf("%d sent", sent)
	}
	if w := press(loaded(0, 0), 'r', 'y'); w != (Wish{}) {
		t.Errorf("without workers: %+v", w)
	}
}

func TestTheSelectionFollowsItsWorker(t *testing.T) {
	m := loaded(6, 0)
	press(m, screen.KeyDown, screen.KeyDown)
	frame(t, m, 80, 24)
	pid := m.selected
	press(m, 'O') // the other end of the table
	frame(t, m, 80, 24)
	if m.selected != pid || pids(m)[m.row] != pid {
		t.Errorf("selected %d, want %d", m.selected, pid)
	}
	s := status(6, 12)
	s.Workers = slices.DeleteFunc(s.Workers, func(w master.WorkerRow) bool { return w.PID == pid })
	m.Feed(control.Item{Status: s})
	frame(t, m, 80, 24)
	if m.selected == pid || m.selected == 0 {
		t.Errorf("selected %d, which has exited", m.selected)
	}
}

func TestAPauseFreezesTheFrameAndLosesNothing(t *testing.T) {
	m := loaded(4, 3)
	press(m, 'p')
	before := frame(t, m, 80, 24)
	if !strings.Contains(before, "paused") {
		t.Errorf("the frame does not say so:\n%s", before)
	}
	for i := range 3 * maxEvents {
		m.Feed(control.Item{Status: status(5, 12+float64(i))})
		m.Feed(control.Item{Event: &prefork.Event{Message: "new", Level: "info"}})
	}
	if after := frame(t, m, 80, 24); after != before {
		t.Errorf("the picture moved:\n%s", after)
	}
	press(m, ' ')
	if after := frame(t, m, 80, 24); !strings.Contains(after, "5 workers") || !strings.Contains(after, "new") || strings.Contains(after, "paused") {
		t.Errorf("after the pause:\n%s", after)
	}
	if len(m.live.events) > 2*maxEvents {
		t.Errorf("%d events are kept", len(m.live.events))
	}
}

func TestRatesAreOfTheServersOwnInterval(t *testing.T) {
	m := New()
	m.Feed(control.Item{Status: status(4, 10)})
	if f := frame(t, m, 80, 24); m.Complete() || !strings.Contains(f, "- conn/s") {
		t.Errorf("one status has no rate:\n%s", f)
	}
	m.Feed(control.Item{Status: status(4, 14)})
	if f := frame(t, m, 80, 24); !m.Complete() || !strings.Contains(f, "2500 conn/s  10k answers/s") || !strings.Contains(f, "cpu 150%") {
		t.Errorf("over four seconds:\n%s", f)
	}
	other := status(4, 15)
	other.PID++
	m.Feed(control.Item{Status: other})
	if m.Complete() {
		t.Error("two servers are compared")
	}
}

func TestAWorkersRateBeginsWithTheWorker(t *testing.T) {
	m := New()
	m.Feed(control.Item{Status: status(1, 10)})
	s := status(3, 11)
	s.Workers[1].AgeS, s.Workers[1].Handled = 0.5, 40
	s.Workers[2].AgeS, s.Workers[2].Handled = 1000, 40 // a new worker: its rate is unknown
	m.Feed(control.Item{Status: s})
	rows := m.rows()
	if !rows[1].measured || rows[1].rate != 40 || rows[2].measured {
		t.Errorf("%+v\n%+v", rows[1], rows[2])
	}
}

func TestAPercentileLiesInItsBucket(t *testing.T) {
	h := master.Histogram{BoundsS: []float64{1, 2, 4}, Counts: []uint64{0, 100, 100, 0}}
	for q, want := range map[float64]float64{0: 1, 0.25: 1.5, 0.5: 2, 0.75: 3, 1: 4} {
		if got, over := quantile(h, 200, q); math.Abs(got-want) > 1e-9 || over {
			t.Errorf("q %v: %v, %v, want %v", q, got, over, want)
		}
	}
	h.Counts[3] = 100
	if got, over := quantile(h, 300, 0.99); got != 4 || !over {
		t.Errorf("beyond the last bound: %v, %v", got, over)
	}
	v := view{before: status(1, 10), now: status(1, 11)}
	v.now.HandlerLatency.Counts = v.now.HandlerLatency.Counts[:3]
	if _, total := v.latency(); total != 0 {
		t.Error("an invalid histogram has a latency")
	}
}

func TestTheEndIsExpectedIfTheServerAnnouncedIt(t *testing.T) {
	m := loaded(1, 2)
	if _, ok := m.Ended(); ok {
		t.Error("a server without an announcement counts as ended")
	}
	m.Feed(control.Item{Event: &prefork.Event{Message: "stopped", Fields: map[string]any{"exit_code": 1.0}}})
	if code, ok := m.Ended(); code != 1 || !ok {
		t.Errorf("%d, %v", code, ok)
	}
}

func TestQuittingAndRedrawing(t *testing.T) {
	for _, k := range []screen.Key{'q', screen.KeyCtrlC} {
		if w := press(loaded(1, 0), k); !w.Quit {
			t.Errorf("%d does not quit", k)
		}
	}
	if w := press(loaded(1, 0), 'r', screen.KeyCtrlC); !w.Quit {
		t.Error("ctrl-c does not quit at a question")
	}
	if w := press(loaded(1, 0), '?', 'q'); !w.Quit {
		t.Error("q does not quit from the help")
	}
	if w := press(loaded(1, 0), screen.KeyCtrlL); !w.Redraw {
		t.Error("ctrl-l does not redraw")
	}
}
