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
		{"-only ecco", "no figure \"ecco\"; there are echo, pipelined"},
		{"-only echo-64,idle-18k", ""},
		{"-only echo64", "no figure"},
		{"echo", "unexpected argument"},
		{"-what", "not defined"},
		{"-write -quick", "mean nothing"},
	} {
		p, err := parse(strings.Fields(c.args), new(bytes.Buffer))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: error is %v, want %q", c.args, err, c.want)
		}
		if c.args == "-rounds 9 -only echo,kill -json" && (p.command != "go run . -only echo,kill -rounds 9" || p.rounds != 9 || !p.json || !slices.Equal(p.only, []string{"echo", "kill"})) {
			t.Errorf("%q is %+v", c.args, p)
		}
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
		t.Skip("builds and loads every server: about a minute and a half")
	}
	var stdout, stderr bytes.Buffer
	if err := run(t.Context(), []string{"-quick", "-json"}, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	var r report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if err := r.check(); err != nil {
		t.Error(err)
	}
	var names []string
	for _, s := range r.Suites {
		names = append(names, s.Name)
		for _, row := range s.Rows {
			if len(row.Times) == 0 && len(row.Values[s.Main]) != 1 || len(row.Times) > 0 && slices.Min(row.Times) <= 0 {
				t.Errorf("%s: %s has %+v", s.Name, row.Name, row)
			}
		}
		for _, x := range s.Skipped {
			if x.Server != uringName && os.Getenv(needtool.Strict) == "1" {
				t.Errorf("%s: %s is left out: %s", s.Name, x.Server, x.Reason)
			}
		}
	}
	for _, g := range goals {
		i := slices.Index(names, g.Suite)
		if i < 0 {
			t.Errorf("there is no suite %s, of which %q is a figure to reach", g.Suite, g.Item)
			continue
		}
		leftOut := slices.ContainsFunc(r.Suites[i].Skipped, func(x skipped) bool { return x.Server == g.Of || x.Server == g.By })
		if _, ok := r.measured(g); !ok && !leftOut {
			t.Errorf("%s was measured, but not %q", g.Suite, g.Item)
		}
	}
	want := []string{
		"echo-64", "echo-1", "echo-1000", "echo-16k-1", "echo-16k-64", "echo-16k-1000", "pipelined", "http-200", "http-1k", "http-64k",
		"rate-25", "rate-50", "rate-75", "rate-2000", "churn", "control-echo", "control-churn", "forking-1", "forking-8", "floor", "spawn", "kill",
		"reload", "skew-short", "skew-flight", "skew-long", "skew-few", "idle-18k", "idle-100k", "master-idle", "status", "poll",
		"load-gzip-together", "load-gzip", "load-file", "load-empty",
	}
	if !slices.Equal(names, want) {
		t.Errorf("suites are %v, want %v", names, want)
	}
}
