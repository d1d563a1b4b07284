package master

import (
	"testing"
	"time"
)

func TestAReloadSeesAHostsFileThatWasChangedAMomentAgo(t *testing.T) {
	now := time.Unix(1000, 0)
	ago := func(s float64) time.Time { return now.Add(-time.Duration(s * float64(time.Second))) }
	for _, tt := range []struct {
		looked, changed time.Time
		want            time.Duration
	}{
		{time.Unix(0, 0), ago(0), 0}, // the first look reads the file
		{ago(2), ago(3600), 0},       // nothing has changed
		{ago(2), ago(2.5), 0},
		{ago(2), ago(1), hostsMemory - 2*time.Second},
		{ago(2), ago(2.005), hostsMemory - 2*time.Second}, // perhaps after the look
		{ago(6), ago(1), 0},
	} {
		if got := hostsDelay(tt.looked, tt.changed, now); got != tt.want {
			t.Errorf("looked at %s, changed at %s: wait %s, want %s", tt.looked, tt.changed, got, tt.want)
		}
	}
}
