package worker

import (
	"runtime/metrics"
	"time"
)

const reportInterval = time.Second

// report shows the master the runtime's figures and the oldest request. It writes
// them to memory, so that an idle worker does not wake the master.
func (l *loop) report() {
	if l.channel == nil {
		return
	}
	l.slot.LoopLag.Store(l.lag)
	l.lag = 0
	if l.samples == nil {
		l.samples = []metrics.Sample{
			{Name: "/memory/classes/heap/objects:bytes"},
			{Name: "/sched/goroutines:goroutines"},
		}
	}
	metrics.Read(l.samples)
	if v := l.samples[0].Value; v.Kind() == metrics.KindUint64 {
		l.slot.HeapBytes.Store(v.Uint64())
	}
	if v := l.samples[1].Value; v.Kind() == metrics.KindUint64 {
		l.slot.Goroutines.Store(int32(v.Uint64()))
	}
	c, since := l.table.slowest()
	if c != nil {
		l.slot.Doing.Store(c.describe())
	}
	l.slot.DoingSince.Store(since)
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
