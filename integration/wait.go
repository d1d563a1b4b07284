package integration

import (
	"testing"
	"time"
)

// Patience is how long a test waits for what should take moments. It is an
// alarm, not a measure: a loaded machine may need most of it.
const Patience = 30 * time.Second

// Wait looks again and again until cond holds, and fails the test after
// Patience with what it waited for and what cond saw last.
func Wait(tb testing.TB, what string, cond func() (ok bool, saw string)) {
	tb.Helper()
	if saw, ok := WaitFor(Patience, cond); !ok {
		tb.Fatalf("waited %v for %s; last saw: %s", Patience, what, saw)
	}
}

// WaitFor is Wait with a limit of its own and without a verdict.
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
