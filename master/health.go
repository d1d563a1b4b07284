package master

import (
	"bytes"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// The owner loop is asked for a sign of life every pingInterval. If it has not
// answered lateAfter times in a row, some call blocks it: a bug in this
// program. A suspended machine stops both sides, so an absence (see clock) does
// not count.
const (
	pingInterval = 500 * time.Millisecond
	lateAfter    = 2
	lagMemory    = 30 * time.Second
)

// loopMonitor has what other goroutines know about the owner loop.
type loopMonitor struct {
	pings chan time.Time // has room for one, which the loop has not answered

	running atomic.Bool // the loop has begun
	ending  atomic.Bool // the server drains or stops
	late    atomic.Bool

	worst   [2]time.Duration // longest delay of a ping, since rotated and in the lagMemory before
	rotated time.Time
}

// answer records how long a ping waited.
func (p *loopMonitor) answer(asked, now time.Time) {
	if now.Sub(p.rotated) > lagMemory {
		p.worst[1], p.worst[0], p.rotated = p.worst[0], 0, now
	}
	p.worst[0] = max(p.worst[0], now.Sub(asked))
	p.late.Store(false)
}

// lag is the longest recent delay.
func (p *loopMonitor) lag() time.Duration { return max(p.worst[0], p.worst[1]) }

// unhealthy returns why /healthz fails, or "".
func (m *Master) unhealthy() string {
	select {
	case <-m.done:
		return "draining"
	default:
	}
	switch {
	case m.monitor.ending.Load():
		return "draining"
	case !m.monitor.running.Load():
		return "starting"
	case m.monitor.late.Load():
		return "the master's owner loop stands still"
	}
	return ""
}

// monitorLoop pings the owner loop until it has ended.
func (m *Master) monitorLoop() {
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	missed := 0
	for {
		select {
		case <-tick.C:
		case <-m.done:
			return
		}
		if len(m.monitor.pings) == 0 {
			if missed >= lateAfter {
				m.monitor.late.Store(false)
				m.log.Info("owner loop runs again", zap.Duration("duration", time.Duration(missed)*pingInterval))
			}
			missed = 0
			m.monitor.pings <- time.Now()
			continue
		}
		if missed++; missed == lateAfter {
			stack := ownerStack()
			m.monitor.late.Store(true) // before the log, which may be what keeps the loop
			m.log.Warn("owner loop late", zap.Duration("duration", lateAfter*pingInterval), zap.String("stack", stack))
		}
	}
}

// ownerStack returns the functions on the owner loop's stack, innermost first.
func ownerStack() string {
	const room, most = 1 << 20, 16
	buf := make([]byte, room)
	buf = buf[:runtime.Stack(buf, true)]
	for goroutine := range bytes.SplitSeq(buf, []byte("\n\n")) {
		if !bytes.Contains(goroutine, []byte("master.(*Master).run(")) {
			continue
		}
		var functions []string
		for line := range strings.SplitSeq(string(goroutine), "\n") {
			// A function with its arguments, and on the next line its place.
			if end := strings.LastIndexByte(line, '('); end > 0 && line[0] != '\t' && len(functions) < most {
				functions = append(functions, line[strings.LastIndexByte(line[:end], '/')+1:end])
			}
		}
		return strings.Join(functions, " < ")
	}
	return ""
}
