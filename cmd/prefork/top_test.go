package main

import (
	"net/http"
	"strings"
	"testing"
)

// stream answers GET /v1/stream with these events. Each has a name and data.
func stream(events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(events); i += 2 {
			data := strings.ReplaceAll(events[i+1], "\n", " ")
			_, _ = w.Write([]byte("event: " + events[i] + "\ndata: " + data + "\n\n"))
		}
	}
}

func TestTopOncePrintsOnePictureOfOneInterval(t *testing.T) {
	later := strings.Replace(strings.Replace(statusJSON, `"uptime_s":7384.5`, `"uptime_s":7386.5`, 1), `"handled":598`, `"handled":798`, 1)
	path := fake(t, stream("log", `{"seq":1,"level":"warn","message":"worker exited","fields":{"slot":1,"signal":11}}`,
		"status", statusJSON, "news", `{}`, "status", later))
	r := runHere("top", "--once", "--control", path)
	if r.status != 0 || r.stderr != "" {
		t.Fatalf("%+v", r)
	}
	for _, want := range []string{"generation 3  threading, 2-8 workers  up 2h03m", "  100 ", "draining", "worker exited slot=1 signal=11", "; p.toml:4: unknown key", "degraded  64 crashes in a minute"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %q in:\n%s", want, r.stdout)
		}
	}
}

func TestTopReportsHowTheServerWasLost(t *testing.T) {
	for says, events := range map[string][]string{
		"the connection to the server is lost": {"status", statusJSON},
		"ended before there was a picture":     {"status", statusJSON, "log", `{"message":"stopped","fields":{"exit_code":0}}`},
		"the server has ended with status 3":   {"log", `{"message":"stopped","fields":{"exit_code":3}}`},
		"read stream":                          {"status", `{"pid":"x"}`},
	} {
		path := fake(t, stream(events...))
		if r := runHere("top", "--once", "--control", path); r.status != 1 || r.stdout != "" || !strings.Contains(r.stderr, says) {
			t.Errorf("%+v, want %q", r, says)
		}
	}
	if r := runHere("top", "--once", "--control", place(t)+"/none"); r.status != 1 || !strings.Contains(r.stderr, "no server at") {
		t.Errorf("%+v", r)
	}
}

func TestTopWithoutATerminalSaysWhatToDo(t *testing.T) {
	for _, r := range []result{runHere("top"), runProcess(t, "top")} {
		if r.status != 2 || !strings.Contains(r.stderr, "standard output is not a terminal; use --once") {
			t.Errorf("%+v", r)
		}
	}
}

// A panic in another goroutine would end the program without restoring the
// terminal.
func TestAPanicBesideTheTerminalIsAnError(t *testing.T) {
	v := &topView{failed: make(chan error, 1)}
	for range 2 { // the second panic must not block
		v.guard(func() error { panic("oops") })
	}
	if err := <-v.failed; err == nil || !strings.Contains(err.Error(), "oops") {
		t.Errorf("error %v", err)
	}
}
