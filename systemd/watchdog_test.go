package systemd

import (
	"strconv"
	"testing"
	"time"
)

func TestWatchdogInterval(t *testing.T) {
	for name, test := range map[string]struct {
		env  []string
		want time.Duration
	}{
		"unwatched":       {nil, 0},
		"PID alone":       {[]string{"WATCHDOG_PID=junk"}, 0},
		"anybody":         {[]string{"WATCHDOG_USEC=30000000"}, 30 * time.Second},
		"us":              {[]string{"WATCHDOG_USEC=1", "WATCHDOG_PID=7"}, time.Microsecond},
		"another process": {[]string{"WATCHDOG_USEC=junk", "WATCHDOG_PID=8"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := parseWatchdog(envOf(test.env...), 7); err != nil || got != test.want {
				t.Errorf("got %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

func TestMalformedWatchdogIsReportedNotIgnored(t *testing.T) {
	for name, test := range map[string]struct {
		env      []string
		variable string
	}{
		"empty":    {[]string{"WATCHDOG_USEC="}, "WATCHDOG_USEC"},
		"word":     {[]string{"WATCHDOG_USEC=30s"}, "WATCHDOG_USEC"},
		"zero":     {[]string{"WATCHDOG_USEC=0"}, "WATCHDOG_USEC"},
		"negative": {[]string{"WATCHDOG_USEC=-1"}, "WATCHDOG_USEC"},
		"infinity": {[]string{"WATCHDOG_USEC=18446744073709551615"}, "WATCHDOG_USEC"},
		"overflow": {[]string{"WATCHDOG_USEC=9223372036854776"}, "WATCHDOG_USEC"},
		"PID":      {[]string{"WATCHDOG_USEC=1", "WATCHDOG_PID=x"}, "WATCHDOG_PID"},
		"PID 0":    {[]string{"WATCHDOG_USEC=1", "WATCHDOG_PID=0"}, "WATCHDOG_PID"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseWatchdog(envOf(test.env...), 7)
			if got != 0 {
				t.Errorf("got %v beside the error", got)
			}
			wantEnvError(t, err, test.variable, "")
		})
	}
}

func FuzzWatchdog(f *testing.F) {
	f.Add("30000000", "7")
	f.Add("9223372036854775", "x")
	f.Fuzz(func(t *testing.T, usec, pid string) {
		got, err := parseWatchdog(envOf("WATCHDOG_USEC="+usec, "WATCHDOG_PID="+pid), 7)
		if err != nil && got != 0 {
			t.Fatalf("%v beside error %v", got, err)
		}
		if n, perr := strconv.Atoi(pid); err == nil && perr == nil && n == 7 && got < time.Microsecond {
			t.Fatalf("watched every %v", got)
		}
	})
}
