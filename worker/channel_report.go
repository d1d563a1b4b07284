package worker

import (
	"runtime/metrics"
	"time"

	"prefork/ipc"
)

const reportInterval = time.Second

// report sends the runtime's figures and the oldest request to the master.
func (l *loop) report() {
	if l.channel == nil {
		return
	}
	report := &ipc.Report{LoopLagNS: l.lag}
	l.lag = 0
	if l.samples == nil {
		l.samples = []metrics.Sample{
			{Name: "/memory/classes/heap/objects:bytes"},
			{Name: "/sched/goroutines:goroutines"},
		}
	}
	metrics.Read(l.samples)
	if v := l.samples[0].Value; v.Kind() == metrics.KindUint64 {
		report.HeapBytes = v.Uint64()
	}
	if v := l.samples[1].Value; v.Kind() == metrics.KindUint64 {
		report.Goroutines = int(v.Uint64())
	}
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
