package top

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"prefork"
	"prefork/cmd/prefork/internal/human"
)

// eventsOnce is how many events Text has.
const eventsOnce = 10

// Frame draws the view for a screen of that size: as many lines as it has
// rows, each no longer than it has columns. now is the time by the server's
// clock and zone as far as the client knows it.
func (m *Model) Frame(width, height int, now time.Time) []human.Line {
	var lines []human.Line
	switch {
	case m.help:
		lines = helpLines()
	case m.shown().now == nil:
		lines = []human.Line{{{Text: "waiting for the server's first word ..."}}}
	default:
		lines = m.body(width, height-1, now)
	}
	lines = append(lines[:min(len(lines), max(height-1, 0))], make([]human.Line, max(0, height-1-len(lines)))...)
	lines = append(lines, m.footer())
	lines = lines[max(0, len(lines)-height):]
	for i := range lines {
		lines[i] = lines[i].Fit(width)
	}
	return lines
}

// Text draws the view for a file or a script: all workers, the last events,
// and nothing that only a person at the keys needs.
func (m *Model) Text(width int, now time.Time) []human.Line {
	if m.shown().now == nil {
		return nil
	}
	rows := m.rows()
	lines := append(m.head(now), nil)
	if len(rows) > 0 {
		t := table{rows: rows, width: width, sorted: -1}
		lines = append(lines, t.lines()...)
	} else {
		lines = append(lines, noWorkers)
	}
	if events := m.events(eventsOnce, now); len(events) > 0 {
		lines = append(append(lines, nil), events...)
	}
	for i := range lines {
		lines[i] = lines[i].Fit(width)
	}
	return lines
}

var noWorkers = human.Line{{Text: "no workers", Style: human.Dim}}

// body shares the rows out: the head, the table, the last events. The table
// gets two thirds of what the head leaves, or what it needs.
func (m *Model) body(width, height int, now time.Time) []human.Line {
	head := m.head(now)
	if least := 4; height < len(head)+least {
		head = head[:max(1, min(len(head), height-least))]
	}
	rows := m.rows()
	room := max(0, height-len(head)-1) // below the table's header
	below := 0                         // rows for the events and their header
	if room >= 5 {
		below = max(room/3, room-max(1, len(rows)))
		below = min(below, len(m.shown().events)+1)
	}
	lines := append(head, m.table(rows, width, room-below)...)
	if below > 1 {
		lines = append(lines, make([]human.Line, max(0, height-below-len(lines)))...)
		lines = append(lines, human.Line{{Text: "EVENTS", Style: human.Dim}})
		lines = append(lines, m.events(below-1, now)...)
	}
	return lines
}

// table is the header and so many rows, the selected one among them.
func (m *Model) table(rows []row, width, room int) []human.Line {
	selected := m.position(rows)
	m.page = max(1, room)
	if selected < 0 {
		return []human.Line{noWorkers}
	}
	m.scroll = min(m.scroll, selected, max(0, len(rows)-room))
	m.scroll = max(m.scroll, selected-room+1, 0)
	t := table{rows: rows, width: width - 2, sorted: m.sort, arrow: "↑"}
	if columns[m.sort].descends != m.reversed {
		t.arrow = "↓"
	}
	all := t.lines()
	lines := []human.Line{append(human.Line{{Text: "  "}}, all[0]...)}
	for i, l := range all[1:][m.scroll:min(len(rows), m.scroll+room)] {
		if m.scroll+i != selected {
			lines = append(lines, append(human.Line{{Text: "  "}}, l...))
			continue
		}
		l = append(human.Line{{Text: "> "}}, l...).Fit(width)
		l = append(l, human.Cell{Text: strings.Repeat(" ", max(0, width-l.Width()))})
		for i := range l {
			l[i].Style |= human.Reverse
		}
		lines = append(lines, l)
	}
	return lines
}

// head is what is said of the server as a whole.
func (m *Model) head(now time.Time) []human.Line {
	v := m.shown()
	s := v.now
	first := human.Line{
		{Text: "prefork ", Style: human.Bold}, {Text: s.Version + "  pid " + strconv.Itoa(s.PID) + "  "},
		{Text: s.State, Style: human.StateStyle(s.State)},
		{Text: fmt.Sprintf("  generation %d  %s, %s  up %s", s.Generation, human.ModeText(s.Mode, s.Spawn), human.WorkersText(s.Target), human.Age(s.UptimeS))},
	}
	if m.frozen != nil {
		first = append(human.Line{{Text: " paused ", Style: human.Reverse}, {Text: " "}}, first...)
	}
	lines := []human.Line{first, v.rates(), v.load(), v.latencies(), v.history(now)}
	if s.Degraded != "" {
		lines = append(lines, human.Line{{Text: "degraded  ", Style: human.Red | human.Bold}, {Text: oneLine(s.Degraded)}})
	}
	return lines
}

// label begins a line of the head.
func label(text string) human.Cell {
	return human.Cell{Text: fmt.Sprintf("%-10s", text), Style: human.Dim}
}

func (v *view) rates() human.Line {
	figure := func(of func(*prefork.Status) uint64, write func(float64) string, unit string) string {
		n, ok := v.perSecond(of)
		if !ok {
			return unknown + unit
		}
		return write(n) + unit
	}
	return human.Line{label("rate"), {Text: strings.Join([]string{
		figure(func(s *prefork.Status) uint64 { return s.Totals.Handled }, count, " conn/s"),
		figure(answers, count, " answers/s"),
		figure(func(s *prefork.Status) uint64 { return s.Totals.BytesIn }, size, "/s in"),
		figure(func(s *prefork.Status) uint64 { return s.Totals.BytesOut }, size, "/s out"),
	}, "  ")}}
}

func answers(s *prefork.Status) (n uint64) {
	for _, c := range s.HandlerLatency.Counts {
		n += c
	}
	return n
}

func (v *view) load() human.Line {
	t := v.now.Totals
	queued := 0
	for _, l := range v.now.Listeners {
		queued += max(0, l.Queued)
	}
	cpu := unknown
	if d := v.interval(); d > 0 {
		cpu = strconv.FormatFloat(100*max(0, v.now.CPUS-v.before.CPUS)/d, 'f', 0, 64) + "%"
	}
	failing := v.before != nil && t.Failed > v.before.Totals.Failed
	rejecting := v.before != nil && t.Rejected > v.before.Totals.Rejected
	return human.Line{
		label("load"), {Text: fmt.Sprintf("%d active  ", t.Active)},
		{Text: fmt.Sprintf("%d queued", queued), Style: when(queued > 0, human.Yellow)},
		{Text: fmt.Sprintf("  cpu %s  %s handled  ", cpu, count(float64(t.Handled)))},
		{Text: count(float64(t.Failed)) + " failed", Style: when(failing, human.Red)}, {Text: "  "},
		{Text: count(float64(t.Rejected)) + " rejected", Style: when(rejecting, human.Red)},
	}
}

func (v *view) latencies() human.Line {
	h, total := v.latency()
	p := func(q float64) string {
		if total == 0 {
			return unknown
		}
		seconds, over := quantile(h, total, q)
		if over {
			return ">" + human.Brief(seconds)
		}
		return human.Brief(seconds)
	}
	return human.Line{label("latency"), {Text: fmt.Sprintf("p50 %s  p99 %s", p(0.5), p(0.99))}}
}

// history is what went wrong so far, and the last reload.
func (v *view) history(now time.Time) human.Line {
	restarting := v.before != nil && v.now.Totals.Restarts > v.before.Totals.Restarts
	l := human.Line{
		label("restarts"), {Text: strconv.FormatUint(v.now.Totals.Restarts, 10), Style: when(restarting, human.Red)},
		{Text: "  reload "},
	}
	r := v.now.LastReload
	if r.At == nil {
		return append(l, human.Cell{Text: "none yet"})
	}
	ago := ", " + human.Age(now.Sub(*r.At).Seconds()) + " ago"
	if r.OK {
		return append(l, human.Cell{Text: "ok", Style: human.Green}, human.Cell{Text: ago})
	}
	return append(l, human.Cell{Text: "failed", Style: human.Red}, human.Cell{Text: ago + ": " + oneLine(r.Error)})
}

// oneLine writes a text of several lines in one.
func oneLine(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ") }
