package load

import (
	"fmt"
	"maps"
	"sync"

	"golang.org/x/sys/unix"
)

// failurePause is how long it is until a connection that failed is opened anew:
// at once, or after a pause if it is likely to fail again.
func failurePause(c Class) int64 {
	switch c {
	case Refused, OutOfPorts, OutOfFiles, OtherFailed:
		return 10e6
	}
	return 0
}

func classify(errno unix.Errno) Class {
	switch errno {
	case unix.ECONNREFUSED, unix.ENOENT:
		return Refused
	case unix.ECONNRESET, unix.EPIPE, unix.ECONNABORTED:
		return Reset
	case unix.ETIMEDOUT:
		return Timeout
	case unix.EADDRNOTAVAIL, unix.EADDRINUSE:
		return OutOfPorts
	case unix.EMFILE, unix.ENFILE:
		return OutOfFiles
	}
	return OtherFailed
}

// The bounds of what is remembered of failures.
const (
	maxExamples = 3 // of each class
	maxLabels   = 4096
	maxExample  = 200
)

// Failures is what has gone wrong in a run.
type Failures struct {
	Counts    map[Class]uint64  // only classes that occurred
	Unreached map[Class]uint64  // of Counts, exchanges that never had a connection
	LostBy    map[string]uint64 // of the others, by the label of their connection
	Examples  []string          // the first of each class, in words
}

// failures collects them. It is safe for use by all loops.
type failures struct {
	mu                sync.Mutex // guards the rest
	counts, unreached map[Class]uint64
	lostBy            map[string]uint64
	examples          map[Class][]string
}

func newFailures() *failures {
	return &failures{
		counts: make(map[Class]uint64), unreached: make(map[Class]uint64),
		lostBy: make(map[string]uint64), examples: make(map[Class][]string),
	}
}

// add adds n exchanges that failed together.
func (f *failures) add(c Class, n int, k *conn, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[c] += uint64(n)
	if c == Short && n > 1 { // only one can have been cut in the middle
		f.counts[Short] -= uint64(n - 1)
		f.counts[EOF] += uint64(n - 1)
	}
	if !k.stood {
		f.unreached[c] += uint64(n)
	} else if _, known := f.lostBy[k.label]; known || len(f.lostBy) < maxLabels {
		f.lostBy[k.label] += uint64(n)
	}
	if len(f.examples[c]) < maxExamples {
		text := fmt.Sprintf("%s: connection %d, request %d of it: ", c, k.index, k.asked) + fmt.Sprintf(format, args...)
		if k.label != "" {
			text += " (" + k.label + ")"
		}
		f.examples[c] = append(f.examples[c], cut(text, maxExample))
	}
}

// snapshot returns a copy, with the examples in the order of the classes.
func (f *failures) snapshot() Failures {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := Failures{Counts: maps.Clone(f.counts), Unreached: maps.Clone(f.unreached), LostBy: maps.Clone(f.lostBy)}
	for _, c := range Classes() {
		all.Examples = append(all.Examples, f.examples[c]...)
	}
	return all
}
