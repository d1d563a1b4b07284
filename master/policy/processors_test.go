package policy

import "testing"

func TestTheWorkersShareTheProcessors(t *testing.T) {
	for _, test := range []struct {
		name   string
		config Config
		cpus   int
		want   int // 0: as Go's runtime does it
	}{
		{"one worker has all", Config{Min: 1}, 64, 0},
		{"two on 64", Config{Min: 2}, 64, 32},
		{"24 on 64", Config{Min: 24}, 64, 3},
		{"one a CPU", Config{Min: 64}, 64, 2},
		{"more than CPUs", Config{Min: 256}, 64, 2},
		{"a pool that may grow", Config{Min: 2, Max: 16}, 64, 4},
		{"two on 2", Config{Min: 2}, 2, 0},
		{"four on 4", Config{Min: 4}, 4, 2},
		{"four on 2", Config{Min: 4}, 2, 0},
		{"one CPU", Config{Min: 4}, 1, 0},
		{"one connection each", Config{OneShot: true, MinSpare: 4, Max: 40}, 64, 1},
		{"configured", Config{Min: 64, GOMAXPROCS: 5}, 64, 5},
		{"configured above the CPUs", Config{Min: 1, GOMAXPROCS: 9}, 2, 9},
		{"configured, one connection each", Config{OneShot: true, GOMAXPROCS: 3}, 64, 3},
		{"without a size", Config{}, 64, 0},
	} {
		if got := test.config.Procs(test.cpus); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}
