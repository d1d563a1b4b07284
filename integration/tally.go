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

// outcome names what the engine calls by another name.
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

// Classify names the outcome of a request that failed on an open connection of
// a Client.
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

// Tally is what a load has counted up to some moment.
type Tally struct {
	counts   map[Outcome]int
	lostBy   map[int]int // by the pid of the worker that had the connection; 0: not known
	examples []string
}

// newTally puts the engine's counts in the words of the promises.
func newTally(answered uint64, f load.Failures) *Tally {
	t := &Tally{counts: map[Outcome]int{OK: int(answered)}, lostBy: map[int]int{}, examples: f.Examples}
	for class, n := range f.Counts {
		t.counts[outcome(class)] += int(n)
	}
	for label, n := range f.LostBy {
		pid, err := strconv.Atoi(label)
		if err != nil {
			pid = 0 // a connection that had not learned it yet, or never asks
		}
		t.lostBy[pid] += int(n)
	}
	for class, n := range f.Unreached {
		switch class {
		case load.Refused:
		case load.Timeout:
			t.counts[Timeout] -= int(n)
			t.counts[Unreached] += int(n)
		default: // the handshake was complete before
			t.lostBy[0] += int(n)
		}
	}
	return t
}

// Count returns how often o was seen.
func (t *Tally) Count(o Outcome) int { return t.counts[o] }

// Lost counts the requests that failed on an open connection.
func (t *Tally) Lost() int {
	n := 0
	for _, count := range t.lostBy {
		n += count
	}
	return n
}

// LostBy returns the lost requests by the worker that had their connection;
// key 0 holds those of a connection that had not learned it yet.
func (t *Tally) LostBy() map[int]int { return t.lostBy }

// Bad counts everything but OK.
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
