package policy

import (
	"testing"
	"time"
)

func TestTheWatchdogNeedsHalfOfTheWorkers(t *testing.T) {
	const limit = 4 * time.Second
	beats, late, limitReached := time.Second, time.Minute, limit
	for _, test := range []struct {
		name   string
		silent []time.Duration
		want   bool
	}{
		{"no worker", nil, true},
		{"one beats", []time.Duration{beats}, true},
		{"one is silent", []time.Duration{late}, false},
		{"one has reached the limit", []time.Duration{limitReached}, false},
		{"one of two", []time.Duration{beats, late}, true},
		{"one of three", []time.Duration{late, beats, late}, false},
		{"two of three", []time.Duration{late, beats, beats}, true},
		{"two of five", []time.Duration{late, beats, beats, late, late}, false},
		{"none of four", []time.Duration{late, late, late, late}, false},
		{"a beat from the future", []time.Duration{-beats}, true},
	} {
		if got := Quorum(test.silent, limit); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestAShortWatchdogAcceptsIdleWorkers(t *testing.T) {
	if !Quorum([]time.Duration{1900 * time.Millisecond}, 10*time.Millisecond) {
		t.Error("a worker that is silent for less than 2 s is taken for hung")
	}
}

func TestTheWatchdogIsCheckedTwiceInHalfItsInterval(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{
		time.Minute: time.Second, 2 * time.Second: 500 * time.Millisecond, time.Second: 250 * time.Millisecond, time.Microsecond: 10 * time.Millisecond,
	} {
		if got := WatchdogCheck(interval/2, time.Second); got != want {
			t.Errorf("WatchdogSec=%v: a look each %v, want %v", interval, got, want)
		}
	}
}

func TestMoreTimeIsNeededInEveryStateButRunning(t *testing.T) {
	for s := Booting; s <= Stopped; s++ {
		if got := (&Machine{state: s}).NeedsTime(); got != (s != Running) {
			t.Errorf("%s: %v", s, got)
		}
	}
}
