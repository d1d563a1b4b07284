package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"prefork"
	"prefork/internal/load"
)

// echoes starts a server that answers each line in upper case.
func echoes(t *testing.T) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		group.Wait()
	})
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer c.Close()
				for in := bufio.NewReader(c); ; {
					line, err := in.ReadBytes('\n')
					if err != nil {
						return
					}
					if _, err := c.Write(bytes.ToUpper(line)); err != nil {
						return
					}
				}
			})
		}
	})
	return "tcp://" + l.Addr().String()
}

func TestLoadReportsInEveryForm(t *testing.T) {
	url, dir := echoes(t), t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	r := runHere("load", url, "-n", "300", "-c", "4", "--expect", "upper", "--json",
		"--hgrm", file("a.hgrm"), "--csv", file("a.csv"), "--plot", file("a.svg"), "--fail", "errors>0")
	var got load.Result
	if r.status != 0 || r.stderr != "" || json.Unmarshal([]byte(r.stdout), &got) != nil {
		t.Fatalf("load: %+v", r)
	}
	if got.Version != load.ResultVersion || got.Requests != 300 || got.Failed() != 0 || got.Plan.Connections != 4 || got.Plan.Expect != "upper" {
		t.Errorf("result: %+v", got)
	}
	for _, name := range []string{"a.hgrm", "a.csv", "a.svg"} {
		if data, err := os.ReadFile(file(name)); err != nil || len(data) == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
	write(t, file("a.json"), r.stdout)
	if r := runHere("load", "compare", file("a.json"), file("a.json")); r.status != 0 || r.stdout == "" {
		t.Errorf("compare: %+v", r)
	}
	if r := runHere("load", url, "-n", "50", "--churn"); r.status != 0 || !strings.Contains(r.stdout, "churn") {
		t.Errorf("text: %+v", r)
	}
}

func TestLoadFailsIfACheckFails(t *testing.T) {
	url := echoes(t)
	r := runHere("load", url, "-n", "20", "--expect", "echo", "--fail", "errors>0", "--fail", "p99<1ns")
	if r.status != 1 || !strings.Contains(r.stderr, "errors") || !strings.Contains(r.stdout, "wrong") {
		t.Errorf("load: %+v", r)
	}
}

func TestALoadWithoutAnAnswerFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close() // connects are refused now
	r := runHere("load", "tcp://"+l.Addr().String(), "-n", "8", "-c", "2")
	if r.status != exitFailed || !strings.Contains(r.stderr, "nothing was answered") || !strings.Contains(r.stdout, "refused") {
		t.Errorf("exit status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
}

// A run with only wrong answers fails, even if its connections are open at the
// end.
func TestALoadWithOnlyWrongAnswersFails(t *testing.T) {
	r := runHere("load", echoes(t), "-d", "100ms", "-c", "2", "--template", "{n}\\n", "--expect", "regex:^no")
	if r.status != exitFailed || !strings.Contains(r.stderr, "nothing was answered") {
		t.Errorf("exit status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
}

func TestALoadThatCannotConnectIsGivenUpWithTheReason(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "tcp://" + closed.Addr().String()
	_ = closed.Close()
	for _, url := range []string{url, "unix://" + filepath.Join(t.TempDir(), "none")} {
		for _, rate := range [][]string{{}, {"--rate", "1000"}, {"--warmup", "1h"}, {"--churn"}, {"--idle", "3"}} {
			r := runHere(append([]string{"load", url, "-d", "1h", "--wait", "30ms"}, rate...)...)
			if r.status != exitFailed || r.stdout != "" || !strings.Contains(r.stderr, url+": connect: ") || !strings.Contains(r.stderr, "--wait") {
				t.Errorf("%s %q: %+v", url, rate, r)
			}
		}
	}
	if r := runHere("load", url, "-n", "1", "-c", "1", "--source", "192.0.2.1"); r.status != exitFailed || !strings.Contains(r.stderr, "source 192.0.2.1: this machine does not have the address") {
		t.Errorf("a missing source: %+v", r)
	}
}

// The report is printed even if a file cannot be written.
func TestAFileThatCannotBeWrittenDoesNotLoseTheReport(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none", "x")
	for _, flag := range []string{"--hgrm", "--csv", "--plot"} {
		r := runHere("load", echoes(t), "-n", "10", "-c", "1", flag, none+".svg")
		if r.status != exitFailed || !strings.Contains(r.stdout, "10 in all") || !strings.Contains(r.stderr, none) {
			t.Errorf("%s: %+v", flag, r)
		}
	}
}

func TestLoadReportsErrorsOfItsCommandLine(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"load", "want one argument, the URL of a server, not 0"},
		{"load compar a b", `unknown command "compar"; did you mean "compare"?`},
		{"load compare a", "want two files of load --json, not 1"},
		{"load ftp://x", `url: want tcp, unix or http, not "ftp"`},
		{"load 127.0.0.1", `url: want tcp://host:port, unix:///path or http://host:port/path, not "127.0.0.1"`},
		{"load 127.0.0.1:80/x", `url: want tcp://host:port, unix:///path or http://host:port/path, not "127.0.0.1:80/x"`},
		{"load tcp://x:1 --expect uper", `expect: want echo, upper, lines:N, bytes:N, regex:RE or status:CODE, not "uper"; did you mean "upper"?`},
		{"load http://x:1 --method HEAD --expect regex:x", "expect: a regex is for a body; HEAD has none, and a reply gives it already"},
		{"load tcp://x:1 --expect status:200", "expect: only http has a status"},
		{"load tcp://x:1 --conections 3", `unknown flag --conections; did you mean "--connections"?`},
		{"load tcp://x:1 -c 0", "--connections: at least 1, not 0"},
		{"load tcp://x:1 -n 0", "--requests: at least 1, not 0"},
		{"load tcp://x:1 -c -5", "--connections: at least 1, not -5"},
		{"load tcp://x:1 --rate fast", `rate: want a number of requests a second such as 500 or 500-2000, not "fast"`},
		{"load tcp://x:1 --rate 5,6@3s", `rate: "5" needs a duration, as in 5@10s; only the last stage can do without`},
		{"load tcp://x:1 --payload a --template b", "want one of --payload and --template"},
		{"load tcp://x:1 --payload a\\q", `--payload: unescape "a\\q": \q is not an escape; want \n \r \t \0 \\ \" or \xHH`},
		{"load tcp://x:1 --idle 5 --churn", "--idle: --churn does not go with it"},
		{"load tcp://x:1 --churn --pipeline 2", "mode: a connection of churn has one request; pipeline and requests per connection do not go with it"},
		{"load tcp://x:1 --plot a.png", `--plot: want a file that ends in .svg or .html, not "a.png"`},
		{"load tcp://x:1 --method GET", "method and header: only http has them"},
		{"load tcp://x:1 --timeout 0s", "--timeout: more than 0s, not 0s"},
		{"load http://x:1/ --header bad", `header: want "Name: value", not "bad"`},
		{"load unix:///x --source 127.0.0.2", "source: a connection to a unix socket has no source address"},
	} {
		r := runHere(strings.Fields(c.args)...)
		if first, _, _ := strings.Cut(r.stderr, "\n"); r.status != 2 || first != "prefork: "+c.want {
			t.Errorf("%s: %+v, want status 2 and %s", c.args, r, c.want)
		}
	}
	for _, flag := range []string{"-c", "--idle", "--pipeline", "--loops", "--per-connection", "--duration", "--timeout", "--warmup", "--wait"} {
		value := "-5"
		if strings.HasPrefix(flag, "--") && newLoad().Flags().Lookup(flag[2:]).Value.Type() == "duration" {
			value = "-5s"
		}
		if r := runHere("load", "tcp://x:1", flag, value); r.status != 2 || strings.Count(r.stderr, value) != 1 || strings.Count(r.stderr, "\n") != 2 {
			t.Errorf("%s %s: %+v, want one line about it", flag, value, r)
		}
	}
	r := runHere("load", "tcp://x:1", "--fail", "p98>1", "--expect", "x", "--rate", "y")
	if r.status != 2 || strings.Count(r.stderr, "\n") != 4 {
		t.Errorf("several problems: %+v, want each on a line", r)
	}
}

func TestAnInterruptedLoadReportsWhatItMeasured(t *testing.T) {
	reached := make(chan struct{}, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for in, n := bufio.NewReader(c), 0; ; n++ {
			line, err := in.ReadBytes('\n')
			if err != nil {
				return
			}
			_, _ = c.Write(line)
			if n == 100 {
				reached <- struct{}{}
			}
		}
	}()
	cmd := preforkCommand(t, "load", "tcp://"+l.Addr().String(), "-c", "1", "-d", "1h", "--json")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-reached:
	case <-time.After(20 * time.Second):
		t.Fatal("the load did not start")
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	var got load.Result
	if code := cmd.ProcessState.ExitCode(); code != 0 || stderr.Len() > 0 || json.Unmarshal(stdout.Bytes(), &got) != nil || got.Requests < 100 {
		t.Errorf("status %d, %d requests, %s", code, got.Requests, stderr.String())
	}
}

func TestMarksAreWhatChangedBetweenTwoLooks(t *testing.T) {
	at := time.Now()
	var before prefork.Status
	before.PID, before.Generation, before.State = 7, 1, "running"
	for _, c := range []struct {
		change func(*prefork.Status)
		want   string
	}{
		{func(*prefork.Status) {}, ""},
		{func(s *prefork.Status) {
			s.Generation, s.Reloads.OK, s.LastReload.OK, s.LastReload.At = 2, 1, true, &at
		}, "reload: generation 2"},
		{func(s *prefork.Status) { s.Generation, s.State = 2, "probation" }, "reload: generation 2"},
		{func(s *prefork.Status) { s.Generation, s.State, s.Reloads.OK = 3, "probation", 1 }, "reload: generation 2; reload: generation 3"},
		{func(s *prefork.Status) { s.Generation, s.Reloads.OK = 3, 2 }, "reload: generation 2; reload: generation 3"},
		{func(s *prefork.Status) { s.LastReload.Error, s.LastReload.At = "p.toml:1: x", &at }, "reload_failed: p.toml:1: x"},
		{func(s *prefork.Status) { s.Totals.Restarts = 3 }, "worker_death: 3 lost so far"},
		{func(s *prefork.Status) { s.State = "reloading" }, ""},
		{func(s *prefork.Status) { s.State = "draining" }, "other: the server is draining"},
		{func(s *prefork.Status) { s.PID = 8; s.Generation = 9 }, "other: another server answers, pid 8"},
	} {
		now := before
		c.change(&now)
		var got []string
		compareStatus(before, now, func(kind, text string) { got = append(got, kind+": "+text) })
		if strings.Join(got, "; ") != c.want {
			t.Errorf("marks %q, want %q", got, c.want)
		}
	}
}

func TestTheLineOfProgressHasRateAndLatency(t *testing.T) {
	before := load.Snapshot{Elapsed: time.Second, Requests: 1000}
	now := load.Snapshot{
		Elapsed: 1500 * time.Millisecond, Left: 8500 * time.Millisecond, Requests: 3000, Errors: 2, Active: 32,
		Last: load.Second{Requests: 1000, P50S: 0.0004, P99S: 0.0123},
	}
	if got, want := progressLine(before, now), "4000/s  32 active  2 errors  p50 400µs  p99 12.3ms  8.5s left"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	now = load.Snapshot{Warming: true, Elapsed: -2 * time.Second, Active: 3}
	if got, want := progressLine(load.Snapshot{}, now), "warming up, 2s left  3 active"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
