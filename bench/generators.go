package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The load generators' names, as the tables show them.
const (
	wrkName  = "wrk"
	loadName = "prefork load"
)

const (
	loadWindow      = time.Second // wrk has no shorter one
	loadConnections = 32
	acceptGzip      = "Accept-Encoding: gzip"
)

// generators lets wrk and prefork load measure the same servers in turn: what
// is compared here is the client.
func (b *bench) generators(ctx context.Context) error {
	for _, program := range []string{wrkProgram, nginxProgram} {
		if why := b.need(program); why != "" {
			t := b.suite("load", "the load generators", "request", mCPU)
			t.skip(wrkName, why)
			b.report.Suites = append(b.report.Suites, t)
			return nil
		}
	}
	wrk := b.programs[wrkProgram]
	s, err := b.startNginx(ctx, 1)
	if err != nil {
		return err
	}
	defer s.stop()
	const compresses = "nginx, one process, compresses 64 KB for each request"
	for _, t := range []generatorTable{
		{Name: "load-gzip-together", Title: compresses + "; both at once", path: "/gzip", encoding: "gzip", together: true},
		{Name: "load-gzip", Title: compresses, path: "/gzip", encoding: "gzip"},
		{Name: "load-file", Title: "nginx, one process, 8 KB from a file as they are", path: mediumPath},
		{Name: "load-empty", Title: "nginx, one process, `return 200`", path: okPath},
	} {
		if !b.wants(t.Name) {
			continue
		}
		t.Rounds = b.rounds
		if err := b.race(ctx, &t, wrk, s); err != nil {
			return fmt.Errorf("%s: %w\n%s", t.Name, err, s.tail())
		}
		b.report.Suites = append(b.report.Suites, t.suite(b))
	}
	return nil
}

// generatorTable is what the generators said of one target.
type generatorTable struct {
	Name   string
	Title  string
	Rounds int
	Wrk    []generatorRun
	Load   []generatorRun

	path     string
	encoding string // of its answers
	together bool   // both share the connections and the moments of each round
}

// generatorRun is one run of one generator, in its own words but for the CPU
// time, which is the kernel's account of it.
type generatorRun struct {
	Rate float64
	P50  float64 `json:"p50_us"`
	P90  float64 `json:"p90_us"`
	P99  float64 `json:"p99_us"`
	CPU  float64 // of the generator, for each request
}

// generator is one of the two.
type generator struct {
	name string
	args []string
	read func([]byte) (generatorRun, float64, error)
	runs *[]generatorRun
}

// race runs the rounds. Each begins with another generator than the one before.
func (b *bench) race(ctx context.Context, t *generatorTable, wrk string, s *server) error {
	window, connections := loadWindow, loadConnections
	if t.together {
		connections /= 2
	}
	url := "http://" + s.address + t.path
	if err := checkEncoding(ctx, url, t.encoding); err != nil {
		return err
	}
	c := strconv.Itoa(connections)
	turns := []generator{
		{wrkName, []string{wrk, "-t1", "-c" + c, "-d" + window.String(), "--latency", "-H", acceptGzip, url}, readWrk, &t.Wrk},
		{loadName, []string{b.prefork, "load", url, "-c", c, "--loops", "1", "-d", window.String(), "--header", acceptGzip, "--json"}, readLoad, &t.Load},
	}
	for round := range b.rounds {
		if err := t.round(ctx, turns); err != nil {
			return fmt.Errorf("round %d: %w", round+1, err)
		}
		for _, g := range turns {
			x := (*g.runs)[round]
			fmt.Fprintf(b.progress, "%s, round %d: %-14s %8.0f requests/s, p50 %5.0f µs, p90 %5.0f µs, p99 %5.0f µs, %5.2f µs CPU\n",
				t.Name, round+1, g.name, x.Rate, x.P50, x.P90, x.P99, x.CPU)
		}
		slices.Reverse(turns)
	}
	return nil
}

// round lets each generator run once.
func (t *generatorTable) round(ctx context.Context, turns []generator) error {
	var group sync.WaitGroup
	errs := make([]error, len(turns))
	for i, g := range turns {
		run := func() {
			x, err := generate(ctx, g.args, g.read)
			if err != nil {
				errs[i] = fmt.Errorf("%s: %w", g.name, err)
				return
			}
			*g.runs = append(*g.runs, x)
		}
		if t.together {
			group.Go(run)
		} else {
			run()
		}
	}
	group.Wait()
	return errors.Join(errs...)
}

// checkEncoding sees that a target does the work that its title names: what
// nginx does not compress, it sends as it is, without a word.
func checkEncoding(ctx context.Context, url, want string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept-Encoding", "gzip")
	r.Close = true
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if got := response.Header.Get("Content-Encoding"); response.StatusCode != http.StatusOK || got != want {
		return fmt.Errorf("%s: HTTP %d with content encoding %q, want %q", url, response.StatusCode, got, want)
	}
	return nil
}

// generate runs a generator to its end. read finds in what it printed the
// figures and the number of requests.
func generate(ctx context.Context, args []string, read func([]byte) (generatorRun, float64, error)) (generatorRun, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil {
		return generatorRun{}, fmt.Errorf("%v: %w\n%s", args, err, errs.Bytes())
	}
	x, requests, err := read(out.Bytes())
	if err == nil && (requests < 1 || x.Rate <= 0 || x.P50 <= 0 || x.P99 < x.P50) {
		err = errors.New("no figures")
	}
	if err != nil {
		return x, fmt.Errorf("%v: %w in\n%s", args, err, out.Bytes())
	}
	x.CPU = micros(command.ProcessState.UserTime()+command.ProcessState.SystemTime()) / requests
	return x, nil
}

// readLoad reads the JSON of prefork load. The corrected latencies are taken,
// for wrk has no others: at its end it fills its histogram up by the mean
// interval between a connection's requests (stats_correct in its source), which
// is what prefork load does in a closed loop.
func readLoad(out []byte) (generatorRun, float64, error) {
	var r struct {
		Requests uint64            `json:"requests"`
		Rate     float64           `json:"requests_per_s"`
		Errors   map[string]uint64 `json:"errors"`
		Latency  struct {
			P50 float64 `json:"p50_s"`
			P90 float64 `json:"p90_s"`
			P99 float64 `json:"p99_s"`
		} `json:"corrected"`
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return generatorRun{}, 0, err
	}
	if len(r.Errors) > 0 {
		return generatorRun{}, 0, fmt.Errorf("errors %v", r.Errors)
	}
	l := r.Latency
	return generatorRun{Rate: r.Rate, P50: l.P50 * 1e6, P90: l.P90 * 1e6, P99: l.P99 * 1e6}, float64(r.Requests), nil
}

// readWrk reads what wrk prints for people; it has no other form.
func readWrk(out []byte) (generatorRun, float64, error) {
	text := string(out)
	for _, bad := range []string{"Socket errors", "Non-2xx"} {
		if strings.Contains(text, bad) {
			return generatorRun{}, 0, errors.New(strings.ToLower(bad))
		}
	}
	var x generatorRun
	var requests float64
	for pattern, to := range map[string]*float64{
		`Requests/sec:\s+([0-9.]+)`: &x.Rate, `([0-9]+) requests in`: &requests,
		`50%\s+([0-9.]+[a-z]+)`: &x.P50, `90%\s+([0-9.]+[a-z]+)`: &x.P90, `99%\s+([0-9.]+[a-z]+)`: &x.P99,
	} {
		m := regexp.MustCompile(`(?m)^\s*` + pattern).FindStringSubmatch(text)
		if m == nil {
			return x, 0, fmt.Errorf("no %s", pattern)
		}
		d, err := time.ParseDuration(m[1])
		*to = micros(d)
		if err != nil {
			*to, err = strconv.ParseFloat(m[1], 64)
		}
		if err != nil {
			return x, 0, err
		}
	}
	return x, requests, nil
}

// suite makes the report of a target.
func (t *generatorTable) suite(b *bench) suite {
	s := b.suite(t.Name, t.Title, "request", mCPU)
	s.Load = fmt.Sprintf("%s and %s, as each reports, and the CPU time of the generator itself", wrkName, loadName)
	for _, g := range []struct {
		name string
		ours bool
		runs []generatorRun
	}{{wrkName, false, t.Wrk}, {loadName, true, t.Load}} {
		r := row{Name: g.name, Ours: g.ours}
		for _, x := range g.runs {
			r.add(mRate, x.Rate)
			r.add(mP50, x.P50)
			r.add(mP90, x.P90)
			r.add(mP99, x.P99)
			r.add(mCPU, x.CPU)
		}
		s.Rows = append(s.Rows, r)
	}
	for _, metric := range []string{mRate, mP50, mP90, mP99, mCPU} {
		s.Pairs = append(s.Pairs, pair{Of: loadName, By: wrkName, Metric: metric})
	}
	return s
}
