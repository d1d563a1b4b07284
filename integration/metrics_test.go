package integration

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// scrape is one answer of /metrics: the value of each series, and the type of
// each family.
type scrape struct {
	values map[string]float64
	types  map[string]string
}

func readScrape(text string) (scrape, error) {
	s := scrape{map[string]float64{}, map[string]string{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			s.types[name] = kind
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		if at < 0 {
			return s, fmt.Errorf("line %q is not a sample", line)
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return s, fmt.Errorf("line %q: %w", line, err)
		}
		if _, twice := s.values[line[:at]]; twice {
			return s, fmt.Errorf("%s appears twice", line[:at])
		}
		s.values[line[:at]] = v
	}
	return s, nil
}

// isCounter reports whether a series may only increase.
func (s scrape) isCounter(series string) bool {
	name, _, _ := strings.Cut(series, "{")
	if kind := s.types[name]; kind != "" {
		return kind == "counter"
	}
	return true // _bucket, _sum or _count of a histogram
}

// decreased lists the counters that are lower than before or missing.
func (s scrape) decreased(before scrape) []string {
	var decreases []string
	for series, was := range before.values {
		if !before.isCounter(series) {
			continue
		}
		if is, ok := s.values[series]; !ok || is < was {
			decreases = append(decreases, fmt.Sprintf("%s was %v, is %v (found: %v)", series, was, is, ok))
		}
	}
	return decreases
}

// Prometheus takes a counter that decreases for a restart of the server, and
// computes a wrong rate.
func TestCountersNeverDecreaseWhenWorkersDieAndGenerationsChange(t *testing.T) {
	t.Parallel()
	for mode, more := range map[string]string{"threading": "", "event": "", "forking": "max_children = 12\n"} {
		t.Run(mode, func(t *testing.T) {
			c := serve(t, strings.Replace(observed, "workers", "mode = \""+mode+"\"\n"+more+"workers", 1))
			_, address := c.Address("")
			stop := StartTraffic(t, address, 6)
			url := "http://" + c.MetricsAddress() + "/metrics"

			ctx := t.Context()
			done := make(chan struct{})
			var watching sync.WaitGroup
			scrapes := 0
			var last scrape
			watching.Go(func() {
				for ctx.Err() == nil {
					select {
					case <-done:
						return
					default:
					}
					text, err := Fetch(url, nil)
					if err != nil {
						t.Errorf("scrape: %v", err)
						return
					}
					now, err := readScrape(text)
					if err != nil {
						t.Error(err)
						return
					}
					if decreases := now.decreased(last); len(decreases) > 0 {
						t.Errorf("scrape %d: counters decreased:\n%s", scrapes, strings.Join(decreases, "\n"))
						return
					}
					last = now
					scrapes++
				}
			})
			killAndReload(t, c, times(10))
			close(done)
			watching.Wait()
			stop()
			if t.Failed() {
				return
			}
			for _, series := range []string{"prefork_connections_handled_total", "prefork_worker_restarts_total", `prefork_reloads_total{result="ok"}`,
				"prefork_cpu_seconds_total", "prefork_received_bytes_total", "prefork_handler_latency_seconds_count", `prefork_worker_starts_total{slot="0"}`} {
				if last.values[series] == 0 {
					t.Errorf("%s is 0 after %d scrapes under load, kills and reloads", series, scrapes)
				}
			}
		})
	}
}

// killAndReload kills a random worker and reloads the server in each round.
func killAndReload(t *testing.T, c *Command, rounds int) {
	t.Helper()
	for round := range rounds {
		var workers []int
		Wait(t, "a worker", func() (bool, string) {
			workers = Children(c.PID)
			return len(workers) > 0, "none"
		})
		_ = syscall.Kill(workers[rand.IntN(len(workers))], syscall.SIGKILL) // may have exited
		if code, _, stderr := c.run("reload"); code != 0 {
			t.Fatalf("reload %d: exit %d, %s", round, code, stderr)
		}
	}
}

func TestAScraperThatAsksForOpenMetricsGetsIt(t *testing.T) {
	c := serve(t, observed)
	text, err := Fetch("http://"+c.MetricsAddress()+"/metrics", http.Header{"Accept": {"application/openmetrics-text; version=1.0.0"}})
	if err != nil || !strings.HasSuffix(text, "\n# EOF\n") {
		t.Errorf("%v:\n%s", err, text)
	}
}

// Each worker initialises every package that the command links (ADR 14), so
// only tests use the packages of Prometheus.
func TestNothingLinksThePrometheusClient(t *testing.T) {
	for path, p := range packages(t) {
		for _, dep := range p.Deps {
			if under(dep, "github.com/prometheus") || under(dep, "google.golang.org/protobuf") {
				t.Errorf("%s depends on %s", path, dep)
			}
		}
	}
}
