package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"prefork"
	"prefork/cmd/prefork/internal/human"
	"prefork/master"
)

func renderStatus(s prefork.Status, now time.Time, p human.Painter) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s  pid %d  %s  generation %d  up %s\n",
		p.Paint(human.Bold, "prefork"), s.Version, s.PID, p.Paint(human.StateStyle(s.State), s.State), s.Generation, human.Age(s.UptimeS))
	if s.Degraded != "" {
		fmt.Fprintf(&b, "%s   %s\n", p.Paint(human.Red, "degraded"), s.Degraded)
	}
	fmt.Fprintf(&b, "mode       %s, %s%s\n", s.Mode, human.WorkersText(s.Target), procsText(s))
	if s.Spawn != "" {
		fmt.Fprintf(&b, "spawn      %s%s\n", human.SpawnText(s.Spawn, s.SpawnReason), zygoteText(s))
	}
	for i, l := range s.Listeners {
		label := "listening"
		if i > 0 {
			label = ""
		}
		fmt.Fprintf(&b, "%-9s  %s%s\n", label, l.Name, listenerNotes(l.Name, l.Address, l.Queued))
	}
	t := s.Totals
	fmt.Fprintf(&b, "served     %d accepted, %d active, %d handled, %d failed, %d rejected\n",
		t.Accepted, t.Active, t.Handled, t.Failed, t.Rejected)
	fmt.Fprintf(&b, "traffic    %s in, %s out\n", human.Bytes(t.BytesIn), human.Bytes(t.BytesOut))
	fmt.Fprintf(&b, "restarts   %d\n", t.Restarts)
	fmt.Fprintf(&b, "reload     %s\n", reloadText(s, now, p))
	if len(s.Workers) == 0 {
		b.WriteString("\nno workers\n")
		return b.String()
	}
	b.WriteByte('\n')
	workerTable(s).Render(&b, p)
	return b.String()
}

// procsText says how many processors a worker uses, if one is there.
func procsText(s prefork.Status) string {
	for _, w := range s.Workers {
		if w.Generation == s.Generation && w.GOMAXPROCS > 0 {
			return fmt.Sprintf(", GOMAXPROCS %d", w.GOMAXPROCS)
		}
	}
	return ""
}

// zygoteText describes the zygote of the generation that serves, and what zygotes have
// done so far.
func zygoteText(s prefork.Status) (text string) {
	for _, z := range s.Zygotes {
		if z.Generation == s.Generation {
			text += fmt.Sprintf("; zygote pid %d %s", z.PID, z.State)
		}
	}
	if f := s.Forks; f != (master.Forks{}) {
		text += fmt.Sprintf("; %d forked, %d stillborn, %d hung", f.Forked, f.Stillborn, f.Hung)
	}
	return text
}

// listenerNotes says what a listener's name does not: the address it is bound
// to, if that is another, and what waits.
func listenerNotes(name, address string, queued int) string {
	notes := ""
	if address != "" && !strings.HasSuffix(name, address) {
		notes += "  at " + address
	}
	if queued > 0 {
		notes += fmt.Sprintf("  %d queued", queued)
	}
	return notes
}

func reloadText(s prefork.Status, now time.Time, p human.Painter) string {
	r := s.LastReload
	if r.At == nil {
		return "none yet"
	}
	ago := human.Age(now.Sub(*r.At).Seconds()) + " ago"
	if r.OK {
		return p.Paint(human.Green, "ok") + ", " + ago
	}
	// A reason may have several lines: one for each problem of a file.
	return p.Paint(human.Red, "failed") + ", " + ago + ": " + strings.ReplaceAll(r.Error, "\n", "\n           ")
}

func workerTable(s prefork.Status) *human.Table {
	const state, silent = 3, 13
	t := human.NewTable([]string{"SLOT", "PID", "GEN", "STATE", "ACTIVE", "ACCEPTED", "HANDLED", "FAILED",
		"AGE", "RSS", "HEAP", "GOROUTINES", "LAG", "SILENT"}, state)
	for _, w := range s.Workers {
		row := human.Cells(strconv.Itoa(w.Slot), strconv.Itoa(w.PID), strconv.Itoa(w.Generation), w.State,
			strconv.Itoa(w.Active), fmt.Sprint(w.Accepted), fmt.Sprint(w.Handled), fmt.Sprint(w.Failed),
			human.Age(w.AgeS), human.Bytes(w.RSSBytes), human.Bytes(w.HeapBytes), strconv.Itoa(w.Goroutines),
			human.Brief(w.LoopLagS), human.Brief(w.SilentS))
		row[state].Style = human.StateStyle(w.State)
		if w.SilentS > human.SilentAlarm {
			row[silent].Style = human.Red
		}
		t.Add(row...)
	}
	return t
}
