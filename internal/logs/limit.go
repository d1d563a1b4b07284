package logs

import (
	"sync"
	"time"
)

// limitLines is how many lines a Limit allows in a second: enough to see what
// is going on, and too few to fill a disk.
const limitLines = 10

// Limit bounds the lines that a client can cause, such as one that makes a handler
// fail again and again, and counts the rest. It may be used from any goroutine.
type Limit struct {
	mu     sync.Mutex // guards what follows
	begun  time.Time  // of the second that is counted
	lines  int        // in it
	unsaid int        // since Unsaid was asked
}

// Allow says whether one more line may be written at now.
func (l *Limit) Allow(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if age := now.Sub(l.begun); age >= time.Second || age < 0 {
		l.begun, l.lines = now, 0
	}
	if l.lines++; l.lines > limitLines {
		l.unsaid++
		return false
	}
	return true
}

// Unsaid returns how many lines were not allowed since it was last asked.
func (l *Limit) Unsaid() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.unsaid
	l.unsaid = 0
	return n
}
