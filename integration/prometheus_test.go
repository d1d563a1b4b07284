package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"prefork/internal/needtool"
)

// prometheus is a Prometheus server on loopback with a new database.
type prometheus struct {
	t    *testing.T
	base string
	log  string // path of its log file
}

// startPrometheus starts Prometheus with the rules of deploy/prometheus. It
// scrapes the target once a second.
func startPrometheus(t *testing.T, target string) *prometheus {
	t.Helper()
	path := needtool.Need(t, "prometheus", "prometheus")
	rules, err := filepath.Abs("../deploy/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - job_name: prefork
    static_configs: [{targets: [%q]}]
`, rules, target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freePort(t)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	command := exec.Command(path, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--storage.tsdb.retention.time=1h", "--log.level=debug")
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("end of the log of prometheus:\n%s", Tail(string(text), 20))
		}
	})
	p := &prometheus{t: t, base: "http://" + address, log: log.Name()}
	Wait(t, "Prometheus", func() (bool, string) {
		body, err := Fetch(p.base+"/-/ready", nil)
		return err == nil, fmt.Sprint(body, err)
	})
	return p
}

// api sends a request to the HTTP API and decodes the data of the answer.
func (p *prometheus) api(path string, into any) error {
	body, err := Fetch(p.base+"/api/v1/"+path, nil)
	if err != nil {
		return err
	}
	answer := struct {
		Status string
		Data   any
	}{Data: into}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", path, body)
	}
	return nil
}

// query returns the values of an expression by label set.
func (p *prometheus) query(expression string) (map[string]float64, error) {
	var data struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any
		}
	}
	if err := p.api("query?query="+url.QueryEscape(expression), &data); err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for _, r := range data.Result {
		v, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64)
		if err != nil {
			return nil, err
		}
		values[fmt.Sprint(r.Metric)] = v
	}
	return values, nil
}

// wait waits until an expression has at least one value and all satisfy ok.
func (p *prometheus) wait(expression string, ok func(float64) bool) {
	p.t.Helper()
	Wait(p.t, "Prometheus to see "+expression, func() (bool, string) {
		values, err := p.query(expression)
		good := err == nil && len(values) > 0
		for _, v := range values {
			good = good && ok(v)
		}
		return good, fmt.Sprint(values, err)
	})
}

// For Prometheus the server is always up, although workers die and generations
// change.
func TestPrometheusSeesOneServerAcrossReloadsAndCrashes(t *testing.T) {
	t.Parallel()
	c := serve(t, observed)
	_, address := c.Address("")
	StartTraffic(t, address, 6)
	p := startPrometheus(t, c.MetricsAddress())
	atLeast := func(n float64) func(float64) bool { return func(v float64) bool { return v >= n } }
	p.wait("count_over_time(up[5m])", atLeast(2))
	killAndReload(t, c, times(8))
	status, err := c.Status()
	if err != nil {
		t.Fatal(err)
	}
	p.wait("prefork_connections_handled_total", atLeast(float64(status.Totals.Handled)))
	p.wait(`prefork_reloads_total{result="ok"}`, atLeast(float64(times(8))))
	p.wait("prefork_generation", atLeast(float64(status.Generation)))

	p.noScrapeFailed()
	p.all("min_over_time(prefork_build_info[5m])", 1)
	p.noCounterWasReset()
	p.wait("rate(prefork_connections_handled_total[1m])", func(v float64) bool { return v > 0 })
	p.wait("histogram_quantile(0.99, sum by (le) (rate(prefork_handler_latency_seconds_bucket[1m])))", func(v float64) bool { return v > 0 && v < 30 })
	p.rulesAreLoaded()
	p.formatIsOpenMetrics()
}

// all checks that every series of the expression has the wanted value.
func (p *prometheus) all(expression string, want float64) {
	p.t.Helper()
	values, err := p.query(expression)
	if err != nil || len(values) == 0 {
		p.t.Errorf("%s: %d values, %v", expression, len(values), err)
	}
	for labels, v := range values {
		if v != want {
			p.t.Errorf("%s = %v of %s, want %v", expression, v, labels, want)
		}
	}
}

// noScrapeFailed checks in Prometheus's log that no scrape failed. Timeouts are
// ignored: they come from a busy machine.
func (p *prometheus) noScrapeFailed() {
	p.t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "Scrape failed") && !strings.Contains(line, context.DeadlineExceeded.Error()) {
			p.t.Error(line)
		}
	}
}

// noCounterWasReset checks that no counter was reset, including the counters of
// the slots and the parts of the histograms.
func (p *prometheus) noCounterWasReset() {
	p.t.Helper()
	var names []string
	if err := p.api("label/__name__/values", &names); err != nil {
		p.t.Fatal(err)
	}
	counters := 0
	for _, name := range names {
		if counter.MatchString(name) {
			counters++
			p.all("resets("+name+"[5m])", 0)
		}
	}
	if counters < 20 {
		p.t.Errorf("%d counters among %q", counters, names)
	}
}

var counter = regexp.MustCompile(`^prefork_.+_(total|bucket|sum|count)$`)

func (p *prometheus) rulesAreLoaded() {
	p.t.Helper()
	Wait(p.t, "the rules to be evaluated", func() (bool, string) {
		var rules struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
		if err := p.api("rules", &rules); err != nil {
			return false, err.Error()
		}
		n := 0
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				if r.Health == "ok" {
					n++
				}
			}
		}
		return n >= 8, fmt.Sprintf("%+v", rules)
	})
}

// formatIsOpenMetrics checks that a metric has a unit, which only the OpenMetrics
// format contains.
func (p *prometheus) formatIsOpenMetrics() {
	p.t.Helper()
	var metadata []struct{ Metric, Type, Unit string }
	if err := p.api("targets/metadata?metric=prefork_uptime_seconds", &metadata); err != nil {
		p.t.Fatal(err)
	}
	if len(metadata) != 1 || metadata[0].Unit != "seconds" || metadata[0].Type != "gauge" {
		p.t.Errorf("metadata of prefork_uptime_seconds: %+v, want a gauge in seconds", metadata)
	}
}
