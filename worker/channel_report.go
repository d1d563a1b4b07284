package worker

import (
	"runtime/metrics"
	"time"

	"prefork/ipc"
)

const reportInterval = time.Second

// reporter gathers what a Report says. The loop owns it.
type reporter struct {
	lag     int64 // the worst since the last report, in ns
	samples []metrics.Sample
}

// worked notes how long one turn of the loop took: whatever came meanwhile had
// to wait for it.
func (r *reporter) worked(ns int64) { r.lag = max(r.lag, ns) }

// woke notes by how much the loop slept too long; early is negative.
func (r *reporter) woke(late int64) { r.lag = max(r.lag, late) }

// sample reads the runtime's figures without stopping the world.
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

// describe says what the handler does with c and for whom.
func (c *Conn) describe() string {
	who := c.RemoteAddr().String()
	if who == "" || who == "@" { // a client of a unix socket, which has no name
		who = c.listener.name
	}
	if what := c.doing.Load(); what != nil {
		return who + " " + *what
	}
	return who
}
