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

// newWorker returns the Server that a worker runs. Main sets it.
var newWorker func() *prefork.Server

// Main is for TestMain. In a process that a master has started as a worker, it
// runs newServer's Server and exits. In any other process it runs the tests of m
// and returns; the test binary exits with their status when TestMain returns.
//
// newServer does what main does before Run. It is called once in each worker and
// once by each StartMaster. Variables that it sets belong to its process.
func Main(m *testing.M, newServer func() *prefork.Server) {
	if prefork.IsWorker() {
		os.Exit(prefork.ExitCode(newServer().Run(context.Background())))
	}
	newWorker = newServer
	m.Run()
}

// Master is a Server whose master runs in the test's process, and whose workers
// are processes.
type Master struct {
	*Server

	// Prefork is the master's Server, for its Status and Events.
	Prefork *prefork.Server

	control *http.Client
}

// startTimeout is the default of StartTimeout in tests: test binaries are larger
// than servers, and machines that run tests are busy.
const startTimeout = time.Minute

// StartMaster runs the Server of Main's newServer with a master and workers
// until the test ends. It returns when the workers accept connections, and fails
// the test if the server does not start.
//
// configure may change the configuration first, or be nil. It is not called for
// what Reload returns. It must not change the program (Handler, NewHandler,
// Service, Hooks, Configure), because the workers call newServer themselves.
func StartMaster(tb testing.TB, configure func(srv *prefork.Server)) *Master {
	tb.Helper()
	if newWorker == nil {
		tb.Fatal("preforktest: StartMaster needs a TestMain that calls preforktest.Main")
	}
	srv := newWorker()
	path := filepath.Join(testdir.Short(tb), "control")
	free := replacements{}
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
		m.errSeen.Store(true)
		tb.Fatalf("preforktest: the server did not start: %v", m.err)
	}
	return m
}

// isolate replaces settings by which tests would disturb each other or the
// machine.
func isolate(tb testing.TB, c *prefork.Config, free replacements) {
	tb.Helper()
	c.Listen = free.of(tb, c.Listen)
	c.Rollout.StartTimeout = cmp.Or(c.Rollout.StartTimeout, startTimeout)
}

// Command sends the master a command of the control socket, such as "reload",
// "scale?n=+1" or "recycle?slot=0", and returns the answer when the command is
// done. If the command fails, the answer has its error. The error that Command
// returns is about the exchange itself.
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
