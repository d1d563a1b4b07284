package logs

import (
	"testing"
	"time"
)

func TestALimitAllowsLinesPerSecondAndCountsTheRest(t *testing.T) {
	var l Limit
	now := time.Now()
	allowed := func(n int) (yes int) {
		for range n {
			if l.Allow(now) {
				yes++
			}
		}
		return yes
	}
	if n := allowed(limitLines + 5); n != limitLines || l.Unsaid() != 5 || l.Unsaid() != 0 {
		t.Errorf("%d lines were allowed", n)
	}
	now = now.Add(999 * time.Millisecond)
	if allowed(1) != 0 {
		t.Error("one more in the same second")
	}
	now = now.Add(time.Millisecond)
	if n := allowed(1000); n != limitLines || l.Unsaid() != 1000-limitLines+1 {
		t.Errorf("%d lines were allowed in the next second", n)
	}
	if now = now.Add(-time.Hour); allowed(1) != 1 {
		t.Error("a clock that went back silences the log")
	}
}
