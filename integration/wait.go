package integration

import (
	"testing"
	"time"
)

// Patience is the limit for waits that normally take moments. A loaded machine
// may need most of it.
const Patience = 30 * time.Second

// Wait calls cond repeatedly until it returns true. After Patience it fails the
// test with what it waited for and what cond saw last.
func Wait(tb testing.TB, what string, cond func() (ok bool, saw string)) {
	tb.Helper()
	if saw, ok := WaitFor(Patience, cond); !ok {
		tb.Fatalf("waited %v for %s; last saw: %s", Patience, what, saw)
	}
}

// WaitFor is Wait with another limit. It reports whether cond returned true
// instead of failing the test.
func WaitFor(limit time.Duration, cond func() (ok bool, saw string)) (saw string, ok bool) {
	deadline := time.Now().Add(limit)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if ok, saw = cond(); ok || time.Now().After(deadline) {
			return saw, ok
		}
		timer := time.NewTimer(pause)
		<-timer.C
	}
}
