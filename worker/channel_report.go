package worker

import (
	"runtime"
	"strings"
	"time"
	"unicode"

	"prefork/ipc"
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
	// Not package runtime/metrics: its init costs every process that links it 0.1 ms,
	// and this, which stops the world, some microseconds a second.
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	l.slot.HeapBytes.Store(memory.HeapAlloc)
	l.slot.Goroutines.Store(int32(runtime.NumGoroutine()))
	c, since := l.table.slowest()
	if c != nil {
		l.slot.Doing.Store(c.describe())
	}
	l.slot.DoingSince.Store(since)
}

// endCalm tells a master that samples rarely of a connection.
func (l *loop) endCalm() {
	if l.slot.Calm.Load() != 0 && l.slot.Calm.Swap(0) != 0 && !l.once {
		l.send(&ipc.Report{State: ipc.StateActive})
	}
}

// describe names the client, and what Doing was given.
func (c *Conn) describe() string {
	who := c.RemoteAddr().String()
	if who == "" || who == "@" { // a Unix socket without a name
		who = c.listener.name
	}
	if what := c.doing.Load(); what != nil {
		return who + " " + printable(*what)
	}
	return who
}

// printable replaces characters that cannot be printed.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
