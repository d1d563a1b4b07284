package master

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// health requests /healthz. It does not need the owner loop.
func (r *running) health() (int, string) {
	r.t.Helper()
	resp, err := r.client.Get("http://prefork/healthz")
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// untilHealth waits until /healthz has the wanted answer.
func (r *running) untilHealth(code int, text string) {
	r.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		got, said := r.health()
		if got == code && strings.Contains(said, text) {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("waited for health %d %q, last was %d %q; log:\n%s", code, text, got, said, r.logText())
		}
	}
}

func TestALateOwnerLoopIsLoggedAndUnhealthy(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	r.serves(1)
	r.untilHealth(http.StatusOK, "ok")
	release := make(chan struct{})
	held := make(chan struct{})
	go func() {
		defer close(held)
		_ = r.master.do(context.Background(), func(*Master) { hold(release) })
	}()
	r.untilHealth(http.StatusServiceUnavailable, "stands still")
	close(release)
	<-held
	r.untilHealth(http.StatusOK, "ok")
	s := r.until("the log to say that it runs again", func(Status) bool {
		return r.log.FilterMessage("owner loop runs again").Len() == 1
	})
	if s.MasterLoopLagS < lateAfter.Seconds() {
		t.Errorf("the lag is %v s", s.MasterLoopLagS)
	}
	late := r.log.FilterMessage("owner loop late").All()
	if len(late) != 1 {
		t.Fatalf("%d lines, want 1; log:\n%s", len(late), r.logText())
	}
	stack, _ := late[0].ContextMap()["stack"].(string)
	if !strings.Contains(stack, "master.hold < ") || !strings.Contains(stack, "master.(*Master).run") {
		t.Errorf("the stack is %q, want to see what holds the loop", stack)
	}
}

// hold blocks the owner loop. Its name must be in the log.
//
//go:noinline
func hold(release <-chan struct{}) { <-release }

func TestHealthFailsWhenTheServerDrains(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	r.serves(1)
	if why := r.master.unhealthy(); why != "" {
		t.Errorf("a server that runs: %q", why)
	}
	r.post("drain")
	if err := r.wait(); err != nil {
		t.Error(err)
	}
	if why := r.master.unhealthy(); why != "draining" {
		t.Errorf("a server that has ended: %q", why)
	}
	if why := New(Options{}).unhealthy(); why != "starting" {
		t.Errorf("a server that has not begun: %q", why)
	}
}

func TestTheLagIsTheRecentMaximum(t *testing.T) {
	p := loopMonitor{rotated: time.Unix(1000, 0)}
	for _, step := range []struct{ at, lag, want int }{
		{1000, 3, 3}, {1010, 1, 3}, {1031, 2, 3}, {1062, 1, 2}, {1093, 0, 1},
	} {
		now := time.Unix(int64(step.at), 0)
		p.record(time.Duration(step.lag)*time.Second, now)
		if got := p.lag(); got != time.Duration(step.want)*time.Second {
			t.Errorf("at %d the lag is %v, want %d s", step.at, got, step.want)
		}
	}
}
