package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strings"
	"sync"
	"syscall"
)

// Outcome is how one request ended, as its client saw it.
type Outcome string

// The outcomes. NoListener and Unreached never had a connection; all others but
// OK are broken promises to somebody who had one.
const (
	OK         Outcome = "ok"
	NoListener Outcome = "refused"   // connection refused
	Unreached  Outcome = "unreached" // the connect did not complete in time
	Reset      Outcome = "reset"     // RST, or a write to a closed connection
	EOF        Outcome = "eof"       // closed before the first byte of an answer
	Short      Outcome = "short"     // closed in the middle of an answer
	Timeout    Outcome = "timeout"   // connected, but no answer in time
	Wrong      Outcome = "wrong"     // an answer to something else
	Other      Outcome = "other"
)

// ClassifyDial names the outcome of a connect that failed.
func ClassifyDial(err error) Outcome {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist):
		return NoListener
	case errors.Is(err, syscall.EAGAIN):
		return Unreached // a Unix socket whose queue is full
	case errors.As(err, &timeout) && timeout.Timeout():
		return Unreached
	case errors.Is(err, syscall.ECONNRESET):
		return Reset // the handshake was complete before
	}
	return Other
}

// Classify names the outcome of a request that failed on an open connection.
func Classify(err error) Outcome {
	var timeout net.Error
	switch {
	case err == nil:
		return OK
	case errors.Is(err, errWrong):
		return Wrong
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Reset
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Short
	case errors.Is(err, io.EOF):
		return EOF
	case errors.As(err, &timeout) && timeout.Timeout():
		return Timeout
	}
	return Other
}

// Tally counts outcomes and keeps the first examples of each failure. It is
// safe for use from many goroutines.
type Tally struct {
	mu       sync.Mutex
	counts   map[Outcome]int
	examples map[Outcome][]string
	lostBy   map[int]int // by the pid of the worker that had the connection; 0: not known
}

// NewTally returns an empty tally.
func NewTally() *Tally {
	return &Tally{counts: make(map[Outcome]int), examples: make(map[Outcome][]string), lostBy: make(map[int]int)}
}

// Add counts one outcome; the format describes a failure.
func (t *Tally) Add(o Outcome, pid int, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[o]++
	if o == OK {
		return
	}
	if o != NoListener && o != Unreached {
		t.lostBy[pid]++
	}
	if len(t.examples[o]) < 3 {
		t.examples[o] = append(t.examples[o], fmt.Sprintf(format, args...))
	}
}

// Count returns how often o was seen.
func (t *Tally) Count(o Outcome) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[o]
}

// Lost counts the requests that failed on an open connection.
func (t *Tally) Lost() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost()
}

func (t *Tally) lost() int {
	n := 0
	for _, count := range t.lostBy {
		n += count
	}
	return n
}

// LostBy returns the lost requests by the worker that had their connection;
// key 0 holds those of a connection that had not learned it yet.
func (t *Tally) LostBy() map[int]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	by := make(map[int]int, len(t.lostBy))
	for pid, n := range t.lostBy {
		by[pid] = n
	}
	return by
}

// Bad counts everything but OK.
func (t *Tally) Bad() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost() + t.counts[NoListener] + t.counts[Unreached]
}

// String lists the counts and the examples.
func (t *Tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var parts, examples []string
	for outcome, n := range t.counts {
		parts = append(parts, fmt.Sprintf("%s %d", outcome, n))
		examples = append(examples, t.examples[outcome]...)
	}
	sort.Strings(parts)
	sort.Strings(examples)
	text := strings.Join(parts, ", ")
	for _, example := range examples {
		text += "\n\t" + example
	}
	return text
}
