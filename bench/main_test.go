package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"prefork/bench/internal/load"
	"prefork/internal/needtool"
)

func TestMain(m *testing.M) {
	load.Main()
	os.Exit(m.Run())
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args string
		want string // of the error
	}{
		{"", ""},
		{"-rounds 9 -only echo,kill -json", ""},
		{"-rounds 0", "rounds is 0"},
		{"-only ecco", "no figure \"ecco\"; there are echo, connect"},
		{"echo", "unexpected argument"},
		{"-what", "not defined"},
	} {
		p, err := parse(strings.Fields(c.args), new(bytes.Buffer))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: error is %v, want %q", c.args, err, c.want)
		}
		if c.args == "-rounds 9 -only echo,kill -json" && (p.rounds != 9 || !p.json || !slices.Equal(p.only, []string{"echo", "kill"})) {
			t.Errorf("%q is %+v", c.args, p)
		}
	}
}

// rounds makes a table of servers whose CPU per request was as given.
func rounds(cpu map[string][]float64, names ...string) table {
	t := table{Name: "echo", Title: "a test", Unit: "request", Rounds: len(cpu[names[0]])}
	for _, name := range names {
		r := row{Server: name}
		for _, v := range cpu[name] {
			r.Samples = append(r.Samples, sample{CPU: v, Rate: 1000, P50: 100, P99: 200, Others: 0.25})
		}
		t.Rows = append(t.Rows, r)
	}
	return t
}

func TestTableShowsMediansOfPairedRatios(t *testing.T) {
	// The machine was twice as slow in the second round.
	tab := rounds(map[string][]float64{
		cepollName: {5, 10, 5},
		threadName: {6, 12, 7},
	}, cepollName, threadName)
	tab.sumUp([]string{cepollName, netName})
	d := distributions{Name: "kill", Title: "one at a time", Note: "A note.", Rows: []distribution{
		distributionOf("all", []time.Duration{3 * time.Millisecond, time.Millisecond, 2 * time.Millisecond}),
	}}
	r := report{
		Machine:       machine{Date: "2026-01-02", Processors: 2, Model: "M", Kernel: "6", Go: "go1", Load: "0.5"},
		Comparisons:   []table{tab},
		Distributions: []distributions{d},
	}
	r.skip(netName, "why not")
	const want = `2026-01-02; 2 processors (M), Linux 6, go1; load average before the run 0.5.

Go net took no part: why not.

### echo: a test

| server | CPU µs per request | ÷ C epoll | requests/s | p50 µs | p99 µs |
|---|---:|---:|---:|---:|---:|
| C epoll | 5.00 (5.00-10.00) | 1 | 1000 (1000-1000) | 100 (100-100) | 200 (200-200) |
| prefork threading | 7.00 (6.00-12.00) | 1.20 (1.20-1.40) | 1000 (1000-1000) | 100 (100-100) | 200 (200-200) |

3 rounds. Other processes used 25 % of the machine (25-25 %).

### kill: one at a time

|  | n | p50 ms | p99 ms | min ms | max ms |
|---|---:|---:|---:|---:|---:|
| all | 3 | 2.00 | 3.00 | 1.00 | 3.00 |

A note.
`
	var got bytes.Buffer
	if err := r.writeTables(&got); err != nil {
		t.Fatal(err)
	}
	if got.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
	}
}

func TestReadyTimesComeFromTheMastersLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	const good = `{"level":"info","msg":"worker ready","slot":0,"duration_s":0.004}
{"level":"info","msg":"worker exited","duration_s":9}
{"level":"info","msg":"worker ready","slot":0,"duration_s":0.0025}
`
	for _, c := range []struct {
		log  string
		want []time.Duration
		err  string
	}{
		{good, []time.Duration{4 * time.Millisecond, 2500 * time.Microsecond}, ""},
		{"no JSON\n", nil, "log line"},
		{`{"msg":"worker ready"}`, nil, "no duration_s"},
	} {
		if err := os.WriteFile(path, []byte(c.log), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readyTimes(path)
		if !slices.Equal(got, c.want) || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %v, %v; want %v, %q", c.log, got, err, c.want, c.err)
		}
	}
}

// The smoke test of the whole: every peer, every figure, the figures
// themselves worthless.
func TestQuickRunMeasuresEveryFigure(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and loads every server: about half a minute")
	}
	var stdout, stderr bytes.Buffer
	if err := run(t.Context(), []string{"-quick", "-json"}, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	var r report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tab := range r.Comparisons {
		names = append(names, tab.Name)
		for _, row := range tab.Rows {
			if len(row.Samples) != 2 || row.CPU.Min <= 0 || row.Rate.Min <= 0 {
				t.Errorf("%s: %s has %+v", tab.Name, row.Server, row)
			}
		}
	}
	for _, d := range r.Distributions {
		names = append(names, d.Name)
		for _, row := range d.Rows {
			if row.N < quickKills || row.Min <= 0 {
				t.Errorf("%s: %+v", d.Name, row)
			}
		}
	}
	for _, g := range r.Generators {
		if len(g.Wrk) != 2 || len(g.Load) != 2 {
			t.Errorf("%s: %+v", g.Name, g)
		}
	}
	if len(r.Skipped) > 0 && os.Getenv(needtool.Strict) == "1" {
		t.Errorf("left out, for want of a tool: %v", r.Skipped)
	}
	if len(r.Generators) != 4 && len(r.Skipped) == 0 {
		t.Errorf("%d targets of the load generators, and no reason", len(r.Generators))
	}
	if want := []string{"echo", "connect", "echo-c", "connect-c", "forking-1", "forking-8", "spawn", "kill"}; !slices.Equal(names, want) {
		t.Errorf("figures are %v, want %v", names, want)
	}
}
