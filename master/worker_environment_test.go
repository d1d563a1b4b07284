package master

import (
	"slices"
	"testing"
)

func TestEnvironmentOfWorkers(t *testing.T) {
	for _, test := range []struct {
		name       string
		ours, want []string
		procs      int
	}{
		{"ours, marked", []string{"A=1", "PREFORK_WORKER=0", "NOTIFY_SOCKET=/x", "B=GOMAXPROCS=7"},
			[]string{"A=1", "B=GOMAXPROCS=7", "PREFORK_WORKER=1"}, 0},
		{"one connection, one processor", []string{"PREFORK_GOMAXPROCS=x", "A=1"},
			[]string{"A=1", "PREFORK_WORKER=1", "GOMAXPROCS=1", "PREFORK_GOMAXPROCS=1"}, 1},
		{"the operator's choice", []string{"GOMAXPROCS=4"}, []string{"GOMAXPROCS=4", "PREFORK_WORKER=1"}, 1},
		{"no choice", []string{"GOMAXPROCS="}, []string{"PREFORK_WORKER=1", "GOMAXPROCS=3", "PREFORK_GOMAXPROCS=1"}, 3},
		{"what the runtime ignores", []string{"GOMAXPROCS=all", "A=1"}, []string{"A=1", "PREFORK_WORKER=1", "GOMAXPROCS=3", "PREFORK_GOMAXPROCS=1"}, 3},
		{"no number of processors", []string{"GOMAXPROCS=0"}, []string{"PREFORK_WORKER=1"}, 0},
	} {
		if got := environment(test.ours, test.procs); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// The runtime ignores these values, so the quota of a container still counts.
func TestAnInvalidGOMAXPROCSDoesNotHideTheCPUs(t *testing.T) {
	for value, want := range map[string]bool{
		"1": true, "4": true, "+4": true,
		"": false, "0": false, "-1": false, "4 ": false, "all": false, "0x4": false, "4294967297": false,
	} {
		if got := validProcs(value); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}
