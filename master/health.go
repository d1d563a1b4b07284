package master

import (
	"bytes"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"prefork/ipc"
)

// An event that keeps the owner loop for lateAfter is a bug in this program: some
// call blocks it.
const (
	lateAfter = time.Second
	lagMemory = 30 * time.Second
)

// loopMonitor has what other goroutines know about the owner loop.
type loopMonitor struct {
	since  atomic.Int64 // ipc.Now when the loop began to handle an event; 0 while it waits
	ending atomic.Bool  // the server drains or stops
	begun  atomic.Bool  // the loop has begun
	late   atomic.Bool  // the log says that the loop is late
	looks  atomic.Bool  // watchLoop will be called again

	// The owner loop owns these.
	worst   [2]time.Duration // longest turn, since rotated and in the lagMemory before
	rotated time.Time
}

// waits is called when the loop has nothing to handle. It returns how long the loop
// was late, if the log says so.
func (p *loopMonitor) waits(now time.Time) (late time.Duration) {
	since := p.since.Swap(0)
	if since == 0 {
		return 0
	}
	turn := time.Duration(ipc.Now() - since)
	p.record(turn, now)
	if p.late.Swap(false) {
		return turn
	}
	return 0
}

// record remembers how long a turn took.
func (p *loopMonitor) record(turn time.Duration, now time.Time) {
	if now.Sub(p.rotated) > lagMemory {
		p.worst[1], p.worst[0], p.rotated = p.worst[0], 0, now
	}
	p.worst[0] = max(p.worst[0], turn)
}

// lag is the longest recent turn.
func (p *loopMonitor) lag() time.Duration { return max(p.worst[0], p.worst[1]) }

// overdue is how much longer than lateAfter the loop has been handling an event.
func (p *loopMonitor) overdue() (since int64, over time.Duration) {
	if since = p.since.Load(); since == 0 {
		return 0, -lateAfter
	}
	return since, time.Duration(ipc.Now()-since) - lateAfter
}

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
	case !m.monitor.begun.Load():
		return "starting"
	case m.monitor.late.Load():
		return "the master's owner loop stands still"
	}
	return ""
}

// watchLoop looks whether an event keeps the owner loop. It is called whenever the
// loop's timer fires; usually the loop sleeps then, and this costs nothing. A machine
// that was suspended stops both, so it looks twice at the same event: the first look
// may come before the loop goes on.
func (m *Master) watchLoop(before int64) {
	since, over := m.monitor.overdue()
	switch {
	case since == 0 || m.monitor.late.Load():
		// It sleeps, or the log has it.
	case over <= 0:
		m.lookAgain(0, -over)
	case since != before:
		m.lookAgain(since, lateAfter/2)
	default:
		stack := ownerStack()
		m.monitor.late.Store(true) // before the log, which may be what keeps the loop
		m.log.Warn("owner loop late", zap.Duration("duration", lateAfter+over), zap.String("stack", stack))
	}
}

func (m *Master) lookAgain(before int64, after time.Duration) {
	if m.monitor.looks.CompareAndSwap(false, true) {
		time.AfterFunc(after, func() {
			m.monitor.looks.Store(false)
			m.watchLoop(before)
		})
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
