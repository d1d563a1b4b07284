package main

import (
	"strings"
	"testing"

	"prefork/bench/internal/stat"
)

const wrkSaid = `Running 2s test @ http://127.0.0.1:8080/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.64ms    1.02ms  12.10ms   87.00%
    Req/Sec    18.20k     1.10k   20.00k    75.00%
  Latency Distribution
     50%  640.00us
     75%    1.90ms
     90%    2.10ms
     99%    1.50s 
  36537 requests in 2.00s, 9.10MB read
Requests/sec:  18268.25
Transfer/sec:      4.55MB
`

func TestTheFiguresOfWrkAreRead(t *testing.T) {
	x, requests, err := readWrk([]byte(wrkSaid))
	if want := (generatorRun{Rate: 18268.25, P50: 640, P90: 2100, P99: 1.5e6}); err != nil || x != want || requests != 36537 {
		t.Errorf("%+v, %v requests, %v; want %+v", x, requests, err, want)
	}
	for says, text := range map[string]string{
		"socket errors": wrkSaid + "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
		"non-2xx":       wrkSaid + "  Non-2xx or 3xx responses: 3\n",
		"no 99%":        strings.Replace(wrkSaid, "99%", "98%", 1),
	} {
		if _, _, err := readWrk([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

func TestARunOfPreforkLoadWithErrorsHasNoFigure(t *testing.T) {
	const good = `{"requests": 36537, "requests_per_s": 18268.5, "errors": {}, "corrected": {"p50_s": 0.0005, "p90_s": 0.001, "p99_s": 0.25}}`
	x, requests, err := readLoad([]byte(good))
	if want := (generatorRun{Rate: 18268.5, P50: 500, P90: 1000, P99: 250000}); err != nil || x != want || requests != 36537 {
		t.Errorf("%+v, %v requests, %v; want %+v", x, requests, err, want)
	}
	if _, _, err := readLoad([]byte(strings.Replace(good, "{}", `{"reset": 1}`, 1))); err == nil {
		t.Error("a reset passed")
	}
}

func TestTheGeneratorsRatiosArePaired(t *testing.T) {
	table := generatorTable{Name: "load-x", Title: "a test", Rounds: 3,
		Wrk:  []generatorRun{{100, 10, 15, 20, 5}, {200, 20, 30, 40, 5}, {100, 10, 15, 20, 5}},
		Load: []generatorRun{{110, 10, 15, 20, 5}, {220, 20, 30, 40, 5}, {90, 10, 15, 20, 4}}}
	s := table.suite(&bench{plan: plan{rounds: 3}})
	for _, c := range []struct {
		metric string
		want   stat.Spread
	}{{mRate, stat.Spread{Median: 1.1, Min: 0.9, Max: 1.1}}, {mP99, stat.Spread{Median: 1, Min: 1, Max: 1}}, {mCPU, stat.Spread{Median: 1, Min: 0.8, Max: 1}}} {
		if got, ok := s.ratio(pair{Of: loadName, By: wrkName, Metric: c.metric}); !ok || got != c.want {
			t.Errorf("%s: %v, %t; want %v", c.metric, got, ok, c.want)
		}
	}
}
