package policy

import (
	"testing"
	"time"
)

func TestTheWatchdogWantsHalfOfTheWorkersToBeat(t *testing.T) {
	const limit = 2 * time.Second
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
