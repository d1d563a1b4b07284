package preforktest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"prefork"
	"prefork/internal/testdir"
)

// workers is what the test binary is in a worker. Main sets it.
var workers func() *prefork.Server

// Main is for TestMain. In a process that StartMaster's master, or that of any
// other Server, has started as a worker, it runs newServer's Server and ends
// the process. Elsewhere it runs the tests of m and returns; the test binary
// exits with their status once TestMain returns.
//
// newServer is what main does up to Run. It is called once in each worker and
// once by each StartMaster, so what it leaves in variables is each process's
// own.
func Main(m *testing.M, newServer func() *prefork.Server) {
	if prefork.IsWorker() {
		os.Exit(prefork.ExitCode(newServer().Run(context.Background())))
	}
	workers = newServer
	m.Run()
}

// Master is a Server whose master runs in the test's process, and whose workers
// are processes.
type Master struct {
	*Server

	// Prefork is the master's Server, to ask for its Status and Events.
	Prefork *prefork.Server

	control *http.Client
}

// startPatience is how long workers may take to start where StartTimeout says
// nothing: test binaries are larger than servers, and machines that run tests
// are busy.
const startPatience = time.Minute

// StartMaster runs the Server of Main's newServer with a master and workers
// until the test ends, and returns when the workers accept. It fails the test
// if they do not.
//
// configure may change the configuration before, or be nil; it is not called
// again for what Reload returns. It must not change the program (Handler,
// NewHandler, Service, Hooks, Configure): the workers have newServer's.
func StartMaster(tb testing.TB, configure func(srv *prefork.Server)) *Master {
	tb.Helper()
	if workers == nil {
		tb.Fatal("preforktest: StartMaster needs a TestMain that calls preforktest.Main")
	}
	srv := workers()
	path := filepath.Join(testdir.Short(tb), "control")
	free := places{}
	isolate(tb, &srv.Config, free)
	srv.PIDFile, srv.LogFile, srv.AccessLog = "", "", ""
	if configure != nil {
		configure(srv)
	}
	srv.Control = path // for Command
	if reload := srv.Reload; reload != nil {
		srv.Reload = func(ctx context.Context) (*prefork.Config, error) {
			next, err := reload(ctx)
			if next != nil {
				isolate(tb, next, free)
			}
			return next, err
		}
	}
	srv.Logger = newLog(tb, srv)
	ready, serving := srv.Ready, make(chan []net.Addr, 1)
	srv.Ready = func(addrs []net.Addr) {
		serving <- addrs
		if ready != nil {
			ready(addrs)
		}
	}
	ctx, drain := context.WithCancel(context.WithoutCancel(tb.Context()))
	m := &Master{
		Server:  &Server{tb: tb, drain: drain, ended: make(chan struct{})},
		Prefork: srv,
		control: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}},
	}
	go func() {
		defer close(m.ended)
		m.err = srv.Run(ctx)
	}()
	tb.Cleanup(func() {
		m.end(func() { _ = srv.Close() })
		m.control.CloseIdleConnections()
		drain()
	})
	select {
	case m.Addrs = <-serving:
	case <-m.ended:
		m.told.Store(true)
		tb.Fatalf("preforktest: the server did not start: %v", m.err)
	}
	return m
}

// isolate replaces what would make tests meet each other or the machine.
func isolate(tb testing.TB, c *prefork.Config, free places) {
	tb.Helper()
	c.Listen = free.of(tb, c.Listen)
	c.Rollout.StartTimeout = cmp.Or(c.Rollout.StartTimeout, startPatience)
}

// Command gives the master a command of the control socket, such as "reload",
// "scale?n=+1" or "recycle?slot=0", and returns its answer when the command is
// done. The error is that of the exchange; a command that failed says so in the
// answer.
func (m *Master) Command(ctx context.Context, command string) (prefork.Answer, error) {
	var answer prefork.Answer
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://prefork/v1/"+command, nil)
	if err != nil {
		return answer, err
	}
	response, err := m.control.Do(request)
	if err != nil {
		return answer, err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return answer, fmt.Errorf("read the answer to %s: %w", command, err)
	}
	return answer, nil
}
