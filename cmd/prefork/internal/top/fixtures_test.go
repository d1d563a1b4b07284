package top

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"prefork"
	"prefork/cmd/prefork/internal/control"
	"prefork/cmd/prefork/internal/human"
	"prefork/cmd/prefork/internal/screen"
	"prefork/ipc"
	"prefork/master"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// bounds are the buckets in the master's status.
func bounds() (b []float64) {
	for i := range ipc.Buckets - 1 {
		b = append(b, ipc.BucketBound(i).Seconds())
	}
	return b
}

// status returns the status of a server with so many workers after so many
// seconds.
func status(workers int, seconds float64) *prefork.Status {
	at := noon.Add(-90 * time.Second)
	n := uint64(seconds * 10)
	s := &prefork.Status{
		PID: 4711, Version: "1.2.3", State: "running", Generation: 3, UptimeS: 7000 + seconds, Mode: "threading", Target: fmt.Sprint(workers),
		Listeners: []master.ListenerRow{{Name: "tcp://127.0.0.1:9999", Address: "127.0.0.1:9999", Queued: 2}},
		Totals:    master.Totals{Accepted: 300 * n, Active: 12, Handled: 250 * n, Failed: 7, BytesIn: 1 << 20 * n, BytesOut: 3 << 20 * n, Restarts: 2},
		CPUS:      100 + 1.5*seconds, LastReload: master.LastReload{OK: true, At: &at},
		HandlerLatency: master.Histogram{BoundsS: bounds(), Counts: make([]uint64, ipc.Buckets)},
	}
	s.HandlerLatency.Counts[5], s.HandlerLatency.Counts[10] = 970*n, 30*n
	for i := range workers {
		s.Workers = append(s.Workers, worker(i, seconds))
	}
	return s
}

func worker(i int, seconds float64) master.WorkerRow {
	w := master.WorkerRow{
		Slot: i, PID: 4712 + 37*i%1000, Generation: 3, State: "ready", Active: i % 5, AgeS: 60*float64(i*i) + seconds, RSSBytes: uint64(12+i) << 20,
		HeapBytes: uint64(3+i) << 19, Goroutines: 10, LoopLagS: 0.0001 * float64(i*i), CPUS: seconds * float64(i%7) / 10, Handled: uint64(seconds * float64(100*(i%11))),
		Answers: uint64(seconds * float64(2500*(i%11))),
	}
	if i == 1 {
		w.State, w.Doing, w.DoingS, w.Failed = "busy", "127.0.0.1:54321 GET /report?month=11&format=pdf", 12.5, 7
	}
	if i == 3 {
		w.State, w.Generation = "draining", 2
	}
	return w
}

// loaded returns a model after two statuses of so many workers, and events.
func loaded(workers, events int) *Model {
	m := New()
	for i := range events {
		e := &prefork.Event{Seq: uint64(i + 1), At: noon.Add(time.Duration(i-events) * time.Second), Level: "info", Message: "worker ready",
			Fields: map[string]any{"role": "master", "duration_s": 0.0042, "generation": 3.0, "pid": 4712 + float64(i), "slot": float64(i)}}
		if i%4 == 1 {
			e.Level, e.Message, e.Fields = "warn", "worker exited", map[string]any{"slot": 1.0, "signal": 11.0, "event": "crashed", "duration_s": 75.0}
		}
		if i%4 == 3 {
			e.Level, e.Message, e.Fields = "error", "service degraded", map[string]any{"error": "64 crashes in a minute"}
		}
		m.Feed(control.Item{Event: e})
	}
	m.Feed(control.Item{Status: status(workers, 10)})
	m.Feed(control.Item{Status: status(workers, 11)})
	return m
}

// press presses keys and returns the last wish.
func press(m *Model, keys ...screen.Key) (w Wish) {
	for _, k := range keys {
		w = m.Press(k)
	}
	return w
}

func plain(lines []human.Line) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.ANSI(false) + "\n")
	}
	return b.String()
}

// frame draws a frame and checks that it fits.
func frame(t *testing.T, m *Model, width, height int) string {
	t.Helper()
	lines := m.Frame(width, height, noon)
	if len(lines) > height {
		t.Errorf("%d lines on %d rows", len(lines), height)
	}
	for i, l := range lines {
		if l.Width() > width {
			t.Errorf("line %d has %d columns, the screen %d: %q", i, l.Width(), width, l.ANSI(false))
		}
	}
	return plain(lines)
}
