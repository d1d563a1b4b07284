package preforktest_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"prefork"
	"prefork/internal/testdir"
	"prefork/preforktest"
	"prefork/worker"
)

// These tests use the methods of Server with a real master and real workers.

// await receives from ch, or fails the test after patience.
func await[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
		panic("unreachable")
	}
}

func TestCloseStopsAtOnce(t *testing.T) {
	m := preforktest.StartMaster(t, func(srv *prefork.Server) {
		srv.Timeouts.DrainTimeout, srv.Timeouts.DrainIdle = time.Hour, time.Hour
	})
	c := dial(t, m.Dial)
	c.must(t, "pid")
	ended := make(chan error, 1)
	go func() { ended <- m.Shutdown(t.Context()) }() // waits for the client
	if err := m.Prefork.Close(); err != nil {
		t.Error(err)
	}
	if err := await(t, "the end of Run", ended); err != nil {
		t.Errorf("Run: %v", err)
	}
	if answer, err := c.ask("pid"); err == nil {
		t.Errorf("got the answer %q after the end", answer)
	}
	if err := m.Prefork.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown after the end: %v", err)
	}
}

func TestReadyAndAddrsReportTheBoundAddresses(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "s")
	ready := make(chan []net.Addr, 2)
	srv := newServer()
	srv.Listen, srv.PIDFile = []string{"tcp://127.0.0.1:0", "unix://" + path, "tcp://[::1]:0"}, ""
	srv.Ready = func(addrs []net.Addr) { ready <- addrs }
	srv.Reload = func(context.Context) (*prefork.Config, error) {
		next := newServer().Config
		next.Listen = []string{"tcp://127.0.0.1:0"}
		return &next, nil
	}
	if srv.Addrs() != nil {
		t.Errorf("serves at %v before Run", srv.Addrs())
	}
	srv.Control = filepath.Join(filepath.Dir(path), "control")
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(t.Context()) }()
	addrs := await(t, "Ready", ready)
	if !slices.EqualFunc(addrs, srv.Addrs(), func(a, b net.Addr) bool { return a.String() == b.String() }) {
		t.Errorf("Ready got %v, Addrs returned %v", addrs, srv.Addrs())
	}
	for i, network := range []string{"tcp", "unix", "tcp"} {
		if addrs[i].Network() != network {
			t.Errorf("address %d is %v", i, addrs[i])
		}
		c := dial(t, func() net.Conn {
			c, err := net.Dial(addrs[i].Network(), addrs[i].String())
			if err != nil {
				t.Fatal(err)
			}
			return c
		})
		c.must(t, "pid")
		_ = c.Close()
	}
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := await(t, "the end of Run", ended); err != nil {
		t.Error(err)
	}
	if len(ready) > 0 {
		t.Error("Ready was called again")
	}
}

func TestAddrsFollowsAReload(t *testing.T) {
	second := filepath.Join(testdir.Short(t), "second")
	var ready = make(chan []net.Addr, 2)
	m := preforktest.StartMaster(t, func(srv *prefork.Server) {
		srv.Ready = func(addrs []net.Addr) { ready <- addrs }
		srv.Reload = func(context.Context) (*prefork.Config, error) {
			next := newServer().Config
			next.Listen = append(srv.Listen, "unix://"+second)
			return &next, nil
		}
	})
	if answer, err := m.Command(t.Context(), "reload"); err != nil || !answer.OK {
		t.Fatalf("reload: %+v, %v", answer, err)
	}
	if addrs := m.Prefork.Addrs(); len(addrs) != 2 || addrs[1].Network() != "unix" {
		t.Errorf("Addrs after a reload that adds a socket: %v", addrs)
	}
	if len(ready) != 1 {
		t.Errorf("Ready was called %d times", len(ready))
	}
}

func TestLoggerReachesTheWorkers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	t.Setenv(logVariable, path)
	m := preforktest.StartMaster(t, func(srv *prefork.Server) { srv.Workers = 1 })
	pid := dial(t, m.Dial).must(t, "pid")
	if answer, err := m.Command(t.Context(), "log-level?level=error"); err != nil || !answer.OK {
		t.Fatalf("log-level: %+v, %v", answer, err)
	}
	_, _ = dial(t, m.Dial).ask("fail") // its warning is logged, because Logger has its own level
	var text string
	for deadline := time.Now().Add(patience); !strings.Contains(text, "asked to fail"); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the failure is not in the log:\n%s", text)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text = string(data)
	}
	for _, want := range []string{`"role":"master"`, `"role":"worker","slot":0,"pid":` + pid + `,"generation":1`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in the log:\n%s", want, text)
		}
	}
}

func TestEachWorkerCallsWorkerStartAndWorkerStop(t *testing.T) {
	for _, mode := range []worker.Mode{worker.Sequential, worker.Threading, worker.Forking} {
		path := filepath.Join(t.TempDir(), "hooks")
		t.Setenv(hooksVariable, path)
		m := preforktest.StartMaster(t, func(srv *prefork.Server) { srv.Mode, srv.Workers = mode, 2 })
		pid := dial(t, m.Dial).must(t, "pid")
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), "start "+pid+" 1 in slot ") {
			t.Errorf("%s: no start in the hooks' file: %v\n%s", mode, err, text)
		}
		if mode != worker.Forking && strings.Contains(string(text), "stop") {
			t.Errorf("%s: a worker stopped early:\n%s", mode, text)
		}
		if err := m.Prefork.Close(); err != nil {
			t.Error(err)
		}
		if err := m.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if text, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
			word := strings.Fields(line)
			if mode == worker.Forking && word[1] != pid {
				continue // a spare may exit while it starts
			}
			if word[0] == "start" && strings.Count(string(text), "stop "+word[1]+"\n") != 1 {
				t.Errorf("%s: worker %s has no stop:\n%s", mode, word[1], text)
			}
		}
	}
}

func TestErrorOfWorkerStartFailsTheServer(t *testing.T) {
	t.Setenv(hooksVariable, filepath.Join(t.TempDir(), "nowhere", "hooks"))
	got := failure(t, func(tb testing.TB) { preforktest.StartMaster(tb, nil) })
	if !strings.Contains(got, "start worker: ") || !strings.Contains(got, "no such file") {
		t.Errorf("failed with %q", got)
	}
	got = failure(t, func(tb testing.TB) { preforktest.Start(tb, newServer()) })
	if !strings.Contains(got, "start worker: ") {
		t.Errorf("failed with %q", got)
	}
}

func TestAProgramMayCloseItsServerInItsCallbacks(t *testing.T) {
	for where, set := range map[string]func(*prefork.Server){
		"Ready": func(srv *prefork.Server) { srv.Ready = func([]net.Addr) { _ = srv.Close() } },
		"Reload": func(srv *prefork.Server) {
			srv.Reload = func(ctx context.Context) (*prefork.Config, error) {
				_ = srv.Close()
				<-ctx.Done()
				return nil, ctx.Err()
			}
		},
		"ControlHandler": func(srv *prefork.Server) {
			srv.ControlHandler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { _ = srv.Close() })
		},
	} {
		m := preforktest.StartMaster(t, set)
		_, _ = m.Command(t.Context(), map[string]string{"Reload": "reload", "ControlHandler": "../close"}[where])
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for err := error(nil); err == nil; <-time.After(time.Millisecond) { // Status fails when the server has ended
			_, err = m.Prefork.Status(ctx)
		}
		if ctx.Err() != nil {
			t.Errorf("%s: the server has not ended", where)
		}
	}
}
