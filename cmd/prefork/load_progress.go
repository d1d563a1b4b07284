package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"prefork/cmd/prefork/internal/human"
	"prefork/cmd/prefork/internal/screen"
	"prefork/internal/load"
)

// redraw is how often the line of progress is rewritten.
const redraw = 250 * time.Millisecond

// showProgress keeps a line about the run on w until the run has ended, if w is
// a terminal.
func showProgress(w io.Writer, run *load.Run) {
	file, ok := w.(*os.File)
	if !ok || !screen.IsTerminal(file) {
		<-run.Done()
		return
	}
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	var before load.Snapshot
	for {
		select {
		case <-run.Done():
			_, _ = io.WriteString(w, "\r\x1b[K")
			return
		case <-ticker.C:
			now := run.Progress()
			line := human.Cut(progressLine(before, now), screen.Columns(file)-1)
			_, _ = io.WriteString(w, "\r\x1b[K"+line)
			before = now
		}
	}
}

// progressLine says how a run is doing: the rate since the last look, and the
// latencies of the last whole second.
func progressLine(before, now load.Snapshot) string {
	if now.Warming {
		return fmt.Sprintf("warming up, %s left  %d active", human.Brief(-now.Elapsed.Seconds()), now.Active)
	}
	rate := 0.0
	if d := (now.Elapsed - max(before.Elapsed, 0)).Seconds(); d > 0 {
		rate = float64(now.Requests-min(before.Requests, now.Requests)) / d
	}
	line := fmt.Sprintf("%.0f/s  %d active  %d errors", rate, now.Active, now.Errors)
	if now.Last.Requests > 0 {
		line += fmt.Sprintf("  p50 %s  p99 %s", human.Brief(now.Last.P50S), human.Brief(now.Last.P99S))
	}
	if now.Left > 0 {
		return line + "  " + human.Brief(now.Left.Seconds()) + " left"
	}
	return line + fmt.Sprintf("  %d requests", now.Requests)
}
