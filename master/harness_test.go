package master

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"prefork/internal/testdir"
	"prefork/master/policy"
)

// patience is the limit of every wait. Normally a wait takes less than a second.
const patience = 20 * time.Second

// running is a master in the test's process.
type running struct {
	t      *testing.T
	master *Master
	client *http.Client
	log    *observer.ObservedLogs
	ended  chan error
	stop   context.CancelFunc
}

func generationOf(workers int, do string, listen ...string) Generation {
	config, err := json.Marshal(fault{Do: do})
	if err != nil {
		panic(err)
	}
	return Generation{
		Listen: listen,
		Worker: config,
		Policy: policy.Config{
			Min: workers, Max: workers, Slots: 32,
			Probation: 20 * time.Millisecond, SampleInterval: 20 * time.Millisecond,
			KillDelay: 100 * time.Millisecond, StartTimeout: patience,
		},
	}
}

// start runs a master with o until the test ends.
func start(t *testing.T, o Options) *running {
	t.Helper()
	o.Control = filepath.Join(testdir.Short(t), "control")
	core, log := observer.New(zap.DebugLevel)
	o.Log = zap.New(core)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, master: New(o), log: log, ended: make(chan error, 1), stop: cancel}
	r.client = &http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", o.Control)
		},
		DisableKeepAlives: true,
	}}
	go func() { r.ended <- r.master.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		r.wait()
	})
	return r
}

// wait waits for the end of Run and returns its error.
func (r *running) wait() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		r.ended <- err
		return err
	case <-time.After(patience):
		r.t.Fatalf("the master has not ended; log:\n%s", r.logText())
		return nil
	}
}

func (r *running) logText() string {
	var b strings.Builder
	for _, e := range r.log.All() {
		text, _ := json.Marshal(e.ContextMap())
		b.WriteString(e.Level.String() + " " + e.Message + " " + string(text) + "\n")
	}
	return b.String()
}

// until waits until the status satisfies f.
func (r *running) until(what string, f func(Status) bool) (last Status) {
	r.t.Helper()
	r.untilLoop(what, func(m *Master) bool {
		last = m.status()
		return f(last)
	})
	return last
}

// untilLoop waits until f returns true on the owner loop. It calls f at every
// tick of a timer.
func (r *running) untilLoop(what string, f func(*Master) bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for holds := false; !holds; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatalf("waited for %s; log:\n%s", what, r.logText())
		}
		if err := r.master.do(ctx, func(m *Master) { holds = f(m) }); err != nil {
			r.t.Fatalf("waiting for %s: %v; log:\n%s", what, err, r.logText())
		}
	}
}

func (r *running) serves(workers int) Status {
	r.t.Helper()
	return r.until("the pool to serve", func(s Status) bool {
		ready := 0
		for _, w := range s.Workers {
			if w.State == "ready" && w.Generation == s.Generation {
				ready++
			}
		}
		return s.State == "running" && ready == workers && len(s.Workers) == workers
	})
}

// post sends a command to the control socket.
func (r *running) post(command string) (int, Answer) {
	r.t.Helper()
	resp, err := r.client.Post("http://prefork/v1/"+command, "", nil)
	if err != nil {
		r.t.Fatalf("POST %s: %v; log:\n%s", command, err, r.logText())
	}
	defer resp.Body.Close()
	var a Answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		r.t.Fatalf("POST %s: %v", command, err)
	}
	return resp.StatusCode, a
}
