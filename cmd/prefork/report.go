package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"prefork"
)

// renderStatus draws the status for people.
func renderStatus(s prefork.Status, now time.Time, p painter) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s  pid %d  %s  generation %d  up %s\n",
		p.bold("prefork"), s.Version, s.PID, p.state(s.State), s.Generation, age(s.UptimeS))
	if s.Degraded != "" {
		fmt.Fprintf(&b, "%s   %s\n", p.red("degraded"), s.Degraded)
	}
	fmt.Fprintf(&b, "mode       %s, %s\n", s.Mode, workersText(s.Target))
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
	fmt.Fprintf(&b, "traffic    %s in, %s out\n", bytesText(t.BytesIn), bytesText(t.BytesOut))
	fmt.Fprintf(&b, "restarts   %d\n", t.Restarts)
	fmt.Fprintf(&b, "reload     %s\n", reloadText(s, now, p))
	if len(s.Workers) == 0 {
		b.WriteString("\nno workers\n")
		return b.Bytes()
	}
	b.WriteByte('\n')
	workerTable(s, p).render(&b)
	return b.Bytes()
}

// workersText says how many workers a target is.
func workersText(target string) string {
	if target == "1" {
		return "1 worker"
	}
	return target + " workers"
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

func reloadText(s prefork.Status, now time.Time, p painter) string {
	r := s.LastReload
	if r.At == nil {
		return "none yet"
	}
	ago := age(now.Sub(*r.At).Seconds()) + " ago"
	if r.OK {
		return p.green("ok") + ", " + ago
	}
	// A reason may have several lines: one for each problem of a file.
	return p.red("failed") + ", " + ago + ": " + strings.ReplaceAll(r.Error, "\n", "\n           ")
}

func workerTable(s prefork.Status, p painter) *table {
	t := newTable("SLOT", "PID", "GEN", "STATE", "ACTIVE", "ACCEPTED", "HANDLED", "FAILED",
		"AGE", "RSS", "HEAP", "GOROUTINES", "LAG", "SILENT")
	t.left("STATE")
	t.paintHeader(p.dim)
	for _, w := range s.Workers {
		t.add(strconv.Itoa(w.Slot), strconv.Itoa(w.PID), strconv.Itoa(w.Generation), w.State,
			strconv.Itoa(w.Active), u64(w.Accepted), u64(w.Handled), u64(w.Failed),
			age(w.AgeS), bytesText(w.RSSBytes), bytesText(w.HeapBytes), strconv.Itoa(w.Goroutines),
			brief(w.LoopLagS), brief(w.SilentS))
		t.paintLast("STATE", p.state)
		if w.SilentS > silentAlarm {
			t.paintLast("SILENT", p.red)
		}
	}
	return t
}

// silentAlarm is the silence in seconds that catches the eye: ten times what a
// worker's loop allows itself.
const silentAlarm = 5

func u64(n uint64) string { return strconv.FormatUint(n, 10) }

// age writes seconds as an operator would: 42s, 5m10s, 3h20m, 12d4h.
func age(seconds float64) string {
	s := int64(max(seconds, 0))
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s%86400/3600)
}

// brief writes a short time with the digits that matter.
func brief(seconds float64) string {
	switch {
	case seconds <= 0:
		return "0"
	case seconds < 1:
		return fmt.Sprintf("%.1fms", seconds*1000)
	case seconds < 60:
		return fmt.Sprintf("%.1fs", seconds)
	}
	return age(seconds)
}

// bytesText writes a size with three digits at least.
func bytesText(n uint64) string {
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
