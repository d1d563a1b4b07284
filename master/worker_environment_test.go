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
	} {
		if got := environment(test.ours, test.procs); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
