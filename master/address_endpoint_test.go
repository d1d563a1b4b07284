package master

import (
	"strings"
	"testing"
	"time"
)

func TestAddressesThatCannotBeServedTogetherAreFoundWithoutABind(t *testing.T) {
	tests := []struct {
		listen []string
		want   string // "" if there is no problem
	}{
		{[]string{"tcp://127.0.0.1:80", "tcp://127.0.0.2:80", "tcp://[::1]:80", "tcp://localhost:80"}, ""},
		{[]string{"tcp4://:80", "tcp6://:80"}, ""},
		{[]string{"tcp://:0", "tcp4://:0"}, ""},
		{[]string{"systemd:web", "tcp://:80", "unix:@web", "unix:///web"}, ""},
		{[]string{"tcp://127.0.0.1:80", "tcp://127.0.0.1:80"}, `"tcp://127.0.0.1:80": given twice`},
		{[]string{"tcp://127.0.0.1:80", "tcp4://127.0.0.1:80"}, `"tcp4://127.0.0.1:80": the same socket as "tcp://127.0.0.1:80"`},
		{[]string{"tcp://127.0.0.1:80", "tcp://[::ffff:127.0.0.1]:80"}, "the same socket"},
		{[]string{"tcp://:80", "tcp://[::]:80"}, "the same socket"},
		{[]string{"tcp6://:80", "tcp6://[::]:80"}, "the same socket"},
		{[]string{"tcp4://:80", "tcp://0.0.0.0:80"}, "the same socket"},
		{[]string{"tcp://[0:0::1]:80", "tcp6://[::1]:80"}, "the same socket"},
		{[]string{"tcp://:80", "tcp4://:80"}, `"tcp4://:80": it overlaps "tcp://:80"`},
		{[]string{"tcp6://:80", "tcp://:80"}, "overlaps"},
		{[]string{"tcp://127.0.0.1:80", "tcp://:80"}, "overlaps"},
		{[]string{"tcp4://:80", "tcp://127.0.0.1:80"}, "overlaps"},
		{[]string{"unix:///d/s", "unix:///d/./s?mode=0600"}, "the same socket"},
		{[]string{"unix:@s", "unix://@s"}, "given twice"},
		{[]string{"systemd:web", "systemd:web"}, "given twice"},
		{[]string{"tcp4://[::1]:80"}, "is not an address of tcp4"},
		{[]string{"tcp6://[::ffff:127.0.0.1]:80"}, "is not an address of tcp6"},
		{[]string{"tcp:80"}, "write tcp://host:port"},
	}
	for _, tt := range tests {
		problems := CheckAddresses(tt.listen)
		switch {
		case tt.want == "" && len(problems) == 0:
		case tt.want == "" || len(problems) != 1 || !strings.Contains(problems[0].Error(), tt.want):
			t.Errorf("%v: %v; want %q", tt.listen, problems, tt.want)
		}
	}
}

func TestAReloadSeesARecentChangeOfTheHostsFile(t *testing.T) {
	now := time.Unix(1000, 0)
	ago := func(s float64) time.Time { return now.Add(-time.Duration(s * float64(time.Second))) }
	for _, tt := range []struct {
		looked, changed time.Time
		want            time.Duration
	}{
		{time.Unix(0, 0), ago(0), 0}, // the first call reads the file
		{ago(2), ago(3600), 0},       // nothing has changed
		{ago(2), ago(2.5), 0},
		{ago(2), ago(1), hostsCacheTime - 2*time.Second},
		{ago(2), ago(2.005), hostsCacheTime - 2*time.Second}, // the file may have changed after it was read
		{ago(6), ago(1), 0},
	} {
		if got := hostsDelay(tt.looked, tt.changed, now); got != tt.want {
			t.Errorf("looked at %s, changed at %s: wait %s, want %s", tt.looked, tt.changed, got, tt.want)
		}
	}
}
