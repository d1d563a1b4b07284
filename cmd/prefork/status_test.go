package main

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"prefork"
	"prefork/cmd/prefork/internal/human"
	"prefork/internal/golden"
	"prefork/master"
)

const statusJSON = `{"pid":4711,"version":"1.2.3","state":"running","generation":3,"uptime_s":7384.5,"mode":"threading","target":"2-8",
"listeners":[{"name":"tcp://127.0.0.1:9999","address":"127.0.0.1:9999","queued":0},{"name":"tcp://:0","address":"[::]:40123","queued":12}],
"totals":{"accepted":1200,"active":3,"handled":1190,"failed":7,"rejected":0,"bytes_in":123456,"bytes_out":9876543210,"restarts":2},
"workers":[{"slot":0,"pid":4712,"generation":3,"state":"ready","active":2,"accepted":600,"handled":598,"failed":0,"age_s":61,"rss_bytes":12582912,"heap_bytes":1048576,"goroutines":14,"gomaxprocs":2,"loop_lag_s":0.0012,"silent_s":0.2},
{"slot":11,"pid":4713,"generation":2,"state":"draining","active":1,"accepted":600,"handled":592,"failed":7,"age_s":273600,"rss_bytes":1023,"heap_bytes":0,"goroutines":7,"loop_lag_s":0,"silent_s":9}],
"last_reload":{"ok":false,"error":"p.toml:3: mode: unknown mode \"x\"\np.toml:4: unknown key \"y\"","at":"2026-01-02T03:04:05Z"},
"degraded":"64 crashes in a minute","unknown":{"a":[1,2]}}`

func decodeStatus(t *testing.T) prefork.Status {
	t.Helper()
	var s prefork.Status
	if err := json.Unmarshal([]byte(statusJSON), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

var statusNow = time.Date(2026, 1, 2, 3, 5, 5, 0, time.UTC)

func TestTheStatusTableIsAlignedAndComplete(t *testing.T) {
	golden.Check(t, "testdata/status.golden", renderStatus(decodeStatus(t), statusNow, human.Painter{}))
	golden.Check(t, "testdata/status-empty.golden", renderStatus(prefork.Status{Version: "1", State: "booting", Mode: "forking", Target: "4"}, statusNow, human.Painter{}))
}

func TestTheStatusShowsHowWorkersAreStarted(t *testing.T) {
	s := prefork.Status{Mode: "forking", Generation: 2, Target: "4 spare", Spawn: "fork"}
	s.Forks = master.Forks{Forked: 7, Hung: 1}
	s.Zygotes = []master.ZygoteRow{{PID: 9, Generation: 1, State: "exiting"}, {PID: 10, Generation: 2, State: "ready"}}
	for _, tt := range []struct{ spawn, reason, want string }{
		{"fork", "", "spawn      fork; zygote pid 10 ready; 7 forked, 0 stillborn, 1 hung\n"},
		{"exec", "cgo is linked", "spawn      exec, not forked: cgo is linked; zygote pid 10 ready; 7 forked, 0 stillborn, 1 hung\n"},
	} {
		s.Spawn, s.SpawnReason = tt.spawn, tt.reason
		if text := renderStatus(s, statusNow, human.Painter{}); !strings.Contains(text, tt.want) {
			t.Errorf("status is\n%swant %q", text, tt.want)
		}
	}
	s.Spawn = ""
	if text := renderStatus(s, statusNow, human.Painter{}); strings.Contains(text, "spawn ") {
		t.Errorf("a mode that starts no processes shows how:\n%s", text)
	}
}

func TestColoursChangeOnlyColours(t *testing.T) {
	plain := renderStatus(decodeStatus(t), statusNow, human.Painter{})
	painted := renderStatus(decodeStatus(t), statusNow, human.Painter{On: true})
	if painted == plain {
		t.Fatal("nothing is painted")
	}
	if got := regexp.MustCompile("\x1b\\[[0-9]+m").ReplaceAllString(painted, ""); got != plain {
		t.Errorf("without its colours:\n%s\nwant:\n%s", got, plain)
	}
}

func TestStatusJSONIsTheServersOwnIndented(t *testing.T) {
	path := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method+" "+r.URL.Path != "GET /v1/status" {
			t.Errorf("asked %s %s", r.Method, r.URL)
		}
		_, _ = w.Write([]byte(statusJSON))
	})
	r := runHere("status", "--json", "--control", path)
	if r.status != 0 {
		t.Fatalf("%+v", r)
	}
	golden.Check(t, "testdata/status-json.golden", r.stdout) // including fields that this client does not know
	if r := runHere("status", "--control", path); r.status != 0 || len(r.stdout) < 100 {
		t.Errorf("table: %+v", r)
	}
}
