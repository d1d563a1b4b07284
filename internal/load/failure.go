package load

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// class is a Class as an index into Classes.
type class int

// The classes, in the order of Classes.
const (
	refused class = iota
	reset
	endOfFile
	short
	timedOut
	notExpected
	httpStatus
	outOfPorts
	outOfFiles
	otherwise
	classes
)

// Of a connection that failed, how long it is until it is opened anew: at once,
// or after a pause if it is likely to fail again.
const failurePause = int64(10e6)

func (c class) pause() int64 {
	switch c {
	case refused, outOfPorts, outOfFiles, otherwise:
		return failurePause
	}
	return 0
}

// classify names what the kernel said.
func classify(errno unix.Errno) class {
	switch errno {
	case unix.ECONNREFUSED, unix.ENOENT:
		return refused
	case unix.ECONNRESET, unix.EPIPE, unix.ECONNABORTED:
		return reset
	case unix.ETIMEDOUT:
		return timedOut
	case unix.EADDRNOTAVAIL, unix.EADDRINUSE:
		return outOfPorts
	case unix.EMFILE, unix.ENFILE:
		return outOfFiles
	}
	return otherwise
}

// The bounds of what is remembered of failures.
const (
	maxExamples = 3 // of each class
	maxLabels   = 4096
	maxExample  = 200
)

// failures remembers some of what went wrong. It is safe for use by all loops.
type failures struct {
	mu       sync.Mutex
	counts   [classes]uint64
	unstood  [classes]uint64 // of counts, those that never had a connection
	examples [classes][]string
	lostBy   map[string]uint64 // by the label of the connection
}

// add remembers n exchanges that failed in one stroke.
func (f *failures) add(c class, n int, k *conn, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[c] += uint64(n)
	if !k.stood {
		f.unstood[c] += uint64(n)
	}
	if k.stood {
		if f.lostBy == nil {
			f.lostBy = make(map[string]uint64)
		}
		if _, known := f.lostBy[k.label]; known || len(f.lostBy) < maxLabels {
			f.lostBy[k.label] += uint64(n)
		}
	}
	if len(f.examples[c]) < maxExamples {
		text := fmt.Sprintf("%s: connection %d, request %d of it: ", Classes()[c], k.index, k.asked) + fmt.Sprintf(format, args...)
		if k.label != "" {
			text += " (" + k.label + ")"
		}
		f.examples[c] = append(f.examples[c], cut(text, maxExample))
	}
}

// Failures is what has gone wrong in a run.
type Failures struct {
	Counts    map[Class]uint64  // only classes that occurred
	Unreached map[Class]uint64  // of Counts, exchanges that never had a connection
	LostBy    map[string]uint64 // of the others, by the label of their connection
	Examples  []string          // the first of each class, in words
}

func (f *failures) sofar() Failures {
	all := Failures{Counts: map[Class]uint64{}, Unreached: map[Class]uint64{}, LostBy: f.lost(), Examples: f.all()}
	f.mu.Lock()
	defer f.mu.Unlock()
	for c, name := range Classes() {
		if f.counts[c] > 0 {
			all.Counts[name] = f.counts[c]
		}
		if f.unstood[c] > 0 {
			all.Unreached[name] = f.unstood[c]
		}
	}
	return all
}

// all returns the examples in the order of the classes.
func (f *failures) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for _, of := range f.examples {
		all = append(all, of...)
	}
	return all
}

// lost returns a copy of the counts by label.
func (f *failures) lost() map[string]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	by := make(map[string]uint64, len(f.lostBy))
	for label, n := range f.lostBy {
		by[label] = n
	}
	return by
}
