package worker

import (
	"runtime/metrics"
	"time"

	"prefork/ipc"
)

const reportInterval = time.Second

// reporter collects the figures of a Report. The loop owns it.
type reporter struct {
	lag     int64 // the longest since the last report, in ns
	samples []metrics.Sample
}

// addLag counts the duration of one turn of the loop, or how late it woke.
func (r *reporter) addLag(ns int64) { r.lag = max(r.lag, ns) }

// sample makes a Report and starts the next one.
func (r *reporter) sample() *ipc.Report {
	if r.samples == nil {
		r.samples = []metrics.Sample{
			{Name: "/memory/classes/heap/objects:bytes"},
			{Name: "/sched/goroutines:goroutines"},
		}
	}
	metrics.Read(r.samples)
	report := &ipc.Report{LoopLagNS: r.lag}
	if v := r.samples[0].Value; v.Kind() == metrics.KindUint64 {
		report.HeapBytes = v.Uint64()
	}
	if v := r.samples[1].Value; v.Kind() == metrics.KindUint64 {
		report.Goroutines = int(v.Uint64())
	}
	r.lag = 0
	return report
}

// report sends the figures to the master.
func (l *loop) report() {
	if l.channel == nil {
		return
	}
	report := l.reporter.sample()
	if c, since := l.table.slowest(); c != nil {
		report.Doing, report.DoingNS = c.describe(), max(1, ipc.Now()-since)
	}
	l.send(report)
}

// describe names the client, and what Doing was given.
func (c *Conn) describe() string {
	who := c.RemoteAddr().String()
	if who == "" || who == "@" { // a Unix socket without a name
		who = c.listener.name
	}
	if what := c.doing.Load(); what != nil {
		return who + " " + *what
	}
	return who
}
