package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sort"
	"strconv"
	"strings"
	"syscall"

	"prefork/internal/load"
)

// Outcome is how one request ended, as its client saw it.
type Outcome string

// The outcomes. With NoListener and Unreached there was no connection. All
// others except OK are failures on an open connection.
const (
	OK         Outcome = "ok"
	NoListener Outcome = "refused"   // connection refused
	Unreached  Outcome = "unreached" // the connect did not complete in time
	Reset      Outcome = "reset"     // RST, or a write to a closed connection
	EOF        Outcome = "eof"       // closed before the first byte of an answer
	Short      Outcome = "short"     // closed in the middle of an answer
	Timeout    Outcome = "timeout"   // connected, but no answer in time
	Wrong      Outcome = "wrong"     // the answer to another request
	Other      Outcome = "other"
)

// outcome returns the outcome for a class of the load engine.
func outcome(c load.Class) Outcome {
	switch c {
	case load.Refused:
		return NoListener
	case load.Reset:
		return Reset
	case load.EOF:
		return EOF
	case load.Short:
		return Short
	case load.Timeout:
		return Timeout
	case load.Wrong, load.HTTPStatus:
		return Wrong
	}
	return Other
}

// Classify returns the outcome for an error on an open connection of a Client.
func Classify(err error) Outcome {
	var timeout net.Error
	switch {
	case err == nil:
		return OK
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Reset
	case errors.Is(err, io.EOF):
		return EOF
	case errors.As(err, &timeout) && timeout.Timeout():
		return Timeout
	}
	return Other
}

// Tally holds the counts of a load at some moment.
type Tally struct {
	counts   map[Outcome]int
	lostBy   map[int]int // lost requests by pid of the worker; 0: unknown
	examples []string
}

// newTally converts the counts of the load engine.
func newTally(answered uint64, f load.Failures) *Tally {
	t := &Tally{counts: map[Outcome]int{OK: int(answered)}, lostBy: map[int]int{}, examples: f.Examples}
	for class, n := range f.Counts {
		t.counts[outcome(class)] += int(n)
	}
	for label, n := range f.LostBy {
		pid, err := strconv.Atoi(label)
		if err != nil {
			pid = 0 // the connection has not received the pid
		}
		t.lostBy[pid] += int(n)
	}
	for class, n := range f.Unreached {
		switch class {
		case load.Refused:
		case load.Timeout:
			t.counts[Timeout] -= int(n)
			t.counts[Unreached] += int(n)
		default: // the handshake had completed
			t.lostBy[0] += int(n)
		}
	}
	return t
}

// Count returns the number of requests with the outcome o.
func (t *Tally) Count(o Outcome) int { return t.counts[o] }

// Lost returns the number of requests that failed on an open connection.
func (t *Tally) Lost() int {
	n := 0
	for _, count := range t.lostBy {
		n += count
	}
	return n
}

// LostBy returns the lost requests by the pid of their worker. Key 0 is for
// connections that had not received the pid yet.
func (t *Tally) LostBy() map[int]int { return t.lostBy }

// Bad returns the number of requests that were not OK.
func (t *Tally) Bad() int { return t.Lost() + t.counts[NoListener] + t.counts[Unreached] }

// String lists the counts and the examples.
func (t *Tally) String() string {
	var parts []string
	for outcome, n := range t.counts {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", outcome, n))
		}
	}
	sort.Strings(parts)
	return strings.Join(append([]string{strings.Join(parts, ", ")}, t.examples...), "\n\t")
}
