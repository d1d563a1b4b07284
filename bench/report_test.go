package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sampleSuite is a suite of three rounds. The machine was twice as slow in the
// second.
func sampleSuite() suite {
	s := suite{
		Name: "echo-64", Title: "a test", Unit: "request", Main: mCPU, Rounds: 3, Control: cEpoll(1),
		Pairs:  []pair{{Of: threading(2), By: goNet(2)}, {Of: threading(2), By: cEpoll(1), Metric: mP99}},
		Others: []float64{0.25, 0.5, 0.25},
		Run:    provenance{Date: "2026-01-02T03:04:05Z", Command: "go run . -only echo", Commit: "abc"},
	}
	for _, x := range []struct {
		name     string
		cpu, p99 []float64
	}{{cEpoll(1), []float64{5, 10, 5}, []float64{100, 200, 100}}, {threading(2), []float64{6, 12, 7}, []float64{150, 200, 300}}} {
		r := row{Name: x.name, Ours: x.name == threading(2)}
		for i := range x.cpu {
			r.add(mCPU, x.cpu[i])
			r.add(mP99, x.p99[i])
		}
		s.Rows = append(s.Rows, r)
	}
	s.skip(goNet(2), "why not")
	return s
}

func TestTablesHaveMediansOfPairedRatios(t *testing.T) {
	r := report{Format: format, Suites: []suite{sampleSuite()}}
	const want = `### echo-64: a test

|  | CPU µs per request | ÷ C epoll ×1 | p99 µs |
|---|---:|---:|---:|
| C epoll ×1 | 5.00 (5.00-10.00) | 1 | 100 (100-200) |
| **prefork threading ×2** | 7.00 (6.00-12.00) | 1.20 (1.20-1.40) | 200 (150-300) |

| ratio within each round | of | median (range) |
|---|---:|---:|
| prefork threading ×2 ÷ C epoll ×1 | p99 µs | 1.50 (1.00-3.00) |

Go net ×2 took no part: why not.
3 rounds; other processes used 25 % of the machine (25-50 %). ` + "`go run . -only echo`" + `, 2026-01-02, commit abc.
`
	var got bytes.Buffer
	if err := r.writeTables(&got); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got.String(), want) {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
	}
}

func TestTimesAreSummedUpAsAWholeAndByRound(t *testing.T) {
	s := suite{Name: "kill", Unit: "kill", Main: mP50ms, Rounds: 2, Rows: []row{
		{Name: killName, Times: []float64{1, 2, 9, 3, 4, 5}},
		{Name: respawnName, Times: []float64{2, 1, 3, 2, 8, 2}},
	}}
	if got := s.cell(&s.Rows[0], metric{name: mP50ms, decimals: 1}); got != "3.0 (2.0-4.0)" {
		t.Errorf("p50 is %s", got)
	}
	if x, ok := s.ratio(pair{Of: killName, By: respawnName}); !ok || x.Min != 1 || x.Max != 2 {
		t.Errorf("ratio of the rounds' medians is %v, %t", x, ok)
	}
}

func TestGoalsShowTheTrueFigure(t *testing.T) {
	s := sampleSuite()
	s.Rows = append(s.Rows, row{Name: goNet(2), Values: map[string][]float64{mCPU: {5.9, 11.6, 6.8}}})
	r := report{Suites: []suite{s}}
	var b strings.Builder
	writeGoals(&b, &r)
	for _, want := range []string{
		"| [threading echo, 2 workers ÷ two Go `net`](#echo-64) | ≤ 1.02 | ≤ 0.98 | 1.03 (1.02-1.03) | **missed** |\n",
		"| threading echo, 1 worker ÷ one Go `net` | ≤ 1.02 | ≤ 0.98 | not measured |  |\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %sin\n%s", want, b.String())
		}
	}
}

func TestReportsAreMergedAndTheNewerSuiteStays(t *testing.T) {
	dir := t.TempDir()
	older, newer := filepath.Join(dir, "older"), filepath.Join(dir, "newer")
	s := sampleSuite()
	a := report{Format: format, Suites: []suite{{Name: "kill", Main: mP50ms}, s}}
	s.Run.Date, s.Title = "2026-01-03T00:00:00Z", "newer"
	b := report{Format: format, Suites: []suite{s}}
	for name, r := range map[string]report{older: a, newer: b} {
		if err := r.writeFile(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, names := range [][]string{{older, newer}, {newer, older}} {
		r, err := readReports(names)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Suites) != 2 || r.Suites[0].Title != "newer" || r.Suites[1].Name != "kill" {
			t.Errorf("%v: %+v", names, r.Suites)
		}
	}
	data, err := os.ReadFile(newer)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"cpu_us": [5,10,5]`; !bytes.Contains(data, []byte(want)) {
		t.Errorf("no %s in\n%s", want, data)
	}
}

func TestRawFilesAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		`{"format": 2}`:            "format is 2, want 1",
		`{"format": 1, "what": 1}`: "unknown field",
		`{"format": 1, "suites": [{"name": "Echo", "main": "cpu_us"}]}`:                                                                  "the name is not",
		`{"format": 1, "suites": [{"name": "echo", "main": "what"}]}`:                                                                    `unknown metric "what"`,
		`{"format": 1, "suites": [{"name": "echo", "main": "cpu_us", "rounds": 2, "rows": [{"name": "x", "values": {"cpu_us": [1]}}]}]}`: "1 values of cpu_us in 2 rounds",
	} {
		name := filepath.Join(t.TempDir(), "raw")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readReports([]string{name}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
