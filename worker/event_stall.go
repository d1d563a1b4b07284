package worker

import (
	"bytes"
	"runtime"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// stallAfter is how long a handler may block the loop before it is named in the
	// log.
	stallAfter = time.Second

	// stallConfirm is how much later the same call must still run. If it does not,
	// the process was suspended.
	stallConfirm = 20 * time.Millisecond

	// maxStacks is how many bytes of stacks are searched for the loop's.
	maxStacks = 1 << 20
)

// stallWatch names handlers that block the loop. The loop resets its timer with each
// tick, so it costs a request next to nothing. The timer is off while no handler runs:
// it would wake a thread of an idle worker.
type stallWatch struct {
	events *events
	on     bool // the timer runs; the loop's
	used   bool // a handler ran since the last tick; the loop's

	mu        sync.Mutex // guards what follows
	goroutine string     // of the loop: "goroutine 7 "
	timer     *time.Timer
	stopped   bool
}

// begin must be called on the loop's goroutine.
func (s *stallWatch) begin() {
	var b [64]byte
	line := b[:runtime.Stack(b[:], false)]
	if i := bytes.IndexByte(line, '['); i >= 0 {
		line = line[:i]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.goroutine = string(line)
	if s.timer == nil {
		s.timer = time.AfterFunc(stallAfter, s.fire)
		s.on = true
	}
}

// enter is called by the loop before a handler runs.
func (s *stallWatch) enter() {
	s.used = true
	if !s.on {
		s.on = true
		s.timer.Reset(stallAfter)
	}
}

// tick is called by the loop with each tick.
func (s *stallWatch) tick() {
	switch {
	case s.used:
		s.timer.Reset(stallAfter)
	case s.on:
		s.on = false
		s.timer.Stop()
	}
	s.used = false
}

func (s *stallWatch) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.timer != nil {
		s.timer.Stop()
	}
}

// fire is called when the loop has not ticked for stallAfter.
func (s *stallWatch) fire() {
	if c := s.events.current.Load(); c != nil {
		time.AfterFunc(stallConfirm, func() { s.confirm(c) })
	}
}

// confirm logs that the handler of c blocks the loop, if it still does.
func (s *stallWatch) confirm(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.events.current.Load() != c || !s.events.failures.Allow(time.Now()) {
		return
	}
	s.events.log.Warn("handler blocks the loop", zap.String("listener", c.listener.name),
		zap.Stringer("remote", c.RemoteAddr()), zap.Duration("duration", stallAfter),
		zap.ByteString("stack", stackOf(s.goroutine)))
}

// stackOf returns the stack of one goroutine, which runtime.Stack prints first if it is
// the caller's, and else among all others.
func stackOf(goroutine string) []byte {
	b := make([]byte, maxStacks)
	b = b[:runtime.Stack(b, true)]
	for part := range bytes.SplitSeq(b, []byte("\n\n")) {
		if bytes.HasPrefix(part, []byte(goroutine)) {
			return bytes.Clone(part)
		}
	}
	return []byte("not among the first " + strconv.Itoa(maxStacks) + " bytes of stacks")
}
