package preforktest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"prefork"
	"prefork/preforktest"
	"prefork/worker"
	"prefork/worker/handlers"
)

func TestMain(m *testing.M) { preforktest.Main(m, newServer) }

// patience is the limit of every wait.
const patience = 30 * time.Second

// served counts the connections of this process.
var served atomic.Int32

// program answers the lines "pid" and "served" with a number. The lines "fail"
// and "crash" end the connection and the worker.
type program struct{ worker.StreamHandler }

func (p *program) Handle(context.Context, *worker.Conn) error {
	n := served.Add(1)
	for {
		line, err := p.RFile.ReadString('\n')
		if err != nil {
			return err
		}
		switch strings.TrimSpace(line) {
		case "pid":
			_, err = fmt.Fprintln(p.WFile, os.Getpid())
		case "served":
			_, err = fmt.Fprintln(p.WFile, n)
		case "fail":
			err = errors.New("asked to fail")
		case "crash": // cannot be recovered from, like a concurrent map write
			go func() { panic("asked to") }()
			select {}
		}
		if err != nil {
			return err
		}
	}
}

// logVariable names the file that newServer's Logger writes to.
const logVariable = "PREFORKTEST_LOG"

// hooksVariable names the file to which WorkerStart and WorkerStop of newServer
// append a line each.
const hooksVariable = "PREFORKTEST_HOOKS"

// note appends a line to the file of hooksVariable, if there is one.
func note(format string, args ...any) error {
	path := os.Getenv(hooksVariable)
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, format+"\n", args...)
	return errors.Join(err, f.Close())
}

func newServer() *prefork.Server {
	return &prefork.Server{
		Hooks: worker.Hooks{
			WorkerStart: func(_ context.Context, w worker.WorkerInfo) error {
				return note("start %d %d in slot %d", os.Getpid(), w.Generation, w.Slot)
			},
			WorkerStop: func(context.Context) { _ = note("stop %d", os.Getpid()) },
		},
		Logger:     newLogger(os.Getenv(logVariable)),
		NewHandler: func() worker.Handler { return new(program) },
		PIDFile:    "/nowhere/pid", // a production setting, like Listen
		Config:     prefork.Config{Listen: []string{"tcp://127.0.0.1:9999"}, Workers: 2, LogLevel: "warn"},
		Reload: func(context.Context) (*prefork.Config, error) {
			next := newServer().Config
			next.Workers, next.Rollout.Probation = 3, time.Millisecond
			return &next, nil
		},
	}
}

// newLogger returns a logger that writes to a file, or nil if path is empty.
func newLogger(path string) *zap.Logger {
	if path == "" {
		return nil
	}
	config := zap.NewProductionConfig()
	config.OutputPaths = []string{path}
	log, err := config.Build()
	if err != nil {
		panic(err)
	}
	return log
}

// client is one connection to a server.
type client struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, dial func() net.Conn) *client {
	t.Helper()
	c := dial()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{c, bufio.NewReader(c)}
}

func (c *client) ask(line string) (string, error) {
	if _, err := fmt.Fprintln(c, line); err != nil {
		return "", err
	}
	answer, err := c.in.ReadString('\n')
	return strings.TrimSpace(answer), err
}

func (c *client) must(t *testing.T, line string) string {
	t.Helper()
	answer, err := c.ask(line)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return answer
}

func TestStartServesInThisProcess(t *testing.T) {
	for _, mode := range []worker.Mode{worker.Threading, worker.Sequential} {
		srv := newServer()
		srv.Mode = mode
		s := preforktest.Start(t, srv)
		if pid := dial(t, s.Dial).must(t, "pid"); pid != fmt.Sprint(os.Getpid()) {
			t.Errorf("mode %s: served by process %s, want this one, %d", mode, pid, os.Getpid())
		}
	}
}

func TestStartCallsTheHooks(t *testing.T) {
	srv := newServer()
	srv.Hooks.VerifyRequest = func(*worker.Conn) bool { return false }
	c := dial(t, preforktest.Start(t, srv).Dial)
	if _, err := c.in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("read %v, want EOF: VerifyRequest returned false", err)
	}
}

func TestStartReplacesEachListenAddress(t *testing.T) {
	srv := newServer()
	srv.Listen = []string{"tcp://127.0.0.1:9999", "unix:///run/prefork/s", "tcp://[::]:80"}
	s := preforktest.Start(t, srv)
	if len(s.Addrs) != 3 {
		t.Fatalf("serves at %v, want three", s.Addrs)
	}
	for i, network := range []string{"tcp", "unix", "tcp"} {
		c, err := net.Dial(s.Addrs[i].Network(), s.Addrs[i].String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		dial(t, func() net.Conn { return c }).must(t, "pid")
		if s.Addrs[i].Network() != network {
			t.Errorf("%v has network %s, want %s", s.Addrs[i], s.Addrs[i].Network(), network)
		}
	}
}

func TestStartServesHTTP(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{name}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "hello, %s", r.PathValue("name"))
	})
	s := preforktest.Start(t, &prefork.Server{Service: handlers.HTTPServer(&http.Server{Handler: mux})})
	response, err := http.Get("http://" + s.Addrs[0].String() + "/gopher") // its connection stays open
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "hello, gopher" {
		t.Errorf("%q, %v", body, err)
	}
}

func TestShutdownDrains(t *testing.T) {
	for name, s := range map[string]*preforktest.Server{
		"one process": preforktest.Start(t, newServer()),
		"a master":    preforktest.StartMaster(t, nil).Server,
	} {
		c := dial(t, s.Dial)
		c.must(t, "pid")
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Shutdown(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Shutdown with an ended context returned %v", name, err)
		}
		c.must(t, "pid") // the drain serves open connections
		_ = c.Close()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c, err := net.Dial(s.Addrs[0].Network(), s.Addrs[0].String()); err == nil {
			t.Errorf("%s: still listens", name)
			_ = c.Close()
		}
	}
}

func TestEachMasterHasItsOwnWorkers(t *testing.T) {
	for range 2 { // two masters in one process
		t.Run("", func(t *testing.T) {
			t.Parallel()
			m := preforktest.StartMaster(t, nil)
			if pid := dial(t, m.Dial).must(t, "pid"); pid == fmt.Sprint(os.Getpid()) {
				t.Error("the master serves")
			}
			status, err := m.Prefork.Status(t.Context())
			if err != nil || len(status.Workers) != 2 {
				t.Errorf("%d workers, %v; want 2", len(status.Workers), err)
			}
		})
	}
}

// A test that calls Run itself needs only Main.
func TestMainMakesTheTestBinaryAWorker(t *testing.T) {
	srv := newServer()
	srv.Listen, srv.PIDFile = []string{"tcp://127.0.0.1:0"}, ""
	done := make(chan error, 1)
	go func() { done <- srv.Run(t.Context()) }()
	var status prefork.Status
	for deadline := time.Now().Add(patience); status.State != "running"; <-time.After(time.Millisecond) {
		status, _ = srv.Status(t.Context()) // fails until the server runs
		if time.Now().After(deadline) {
			t.Fatal("the server has not started")
		}
	}
	c := dial(t, func() net.Conn {
		c, err := net.Dial("tcp", status.Listeners[0].Address)
		if err != nil {
			t.Fatal(err)
		}
		return c
	})
	if pid := c.must(t, "pid"); pid == fmt.Sprint(os.Getpid()) {
		t.Error("the master serves")
	}
	_ = c.Close()
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestMasterReloads(t *testing.T) {
	m := preforktest.StartMaster(t, func(srv *prefork.Server) { srv.Rollout.Probation = time.Millisecond })
	if len(m.Addrs) != 1 {
		t.Fatalf("serves at %v, want one address", m.Addrs)
	}
	before := dial(t, m.Dial)
	old := before.must(t, "pid")
	answer, err := m.Command(t.Context(), "reload")
	if err != nil || !answer.OK || answer.Generation != 2 {
		t.Fatalf("reload: %+v, %v", answer, err)
	}
	for deadline := time.Now().Add(patience); dial(t, m.Dial).must(t, "pid") == old; { // until the old worker drains
		if time.Now().After(deadline) {
			t.Fatal("the old worker still accepts")
		}
	}
	if status, err := m.Prefork.Status(t.Context()); err != nil || status.Target != "3" {
		t.Errorf("%s workers after the reload, %v; want 3", status.Target, err)
	}
	if pid := before.must(t, "pid"); pid != old {
		t.Errorf("a connection moved from process %s to %s", old, pid)
	}
	if answer, err := m.Command(t.Context(), "scale?n=0"); err != nil || answer.OK {
		t.Errorf("scale to 0: %+v, %v; want an error", answer, err)
	}
}

func TestMasterSurvivesAWorkerCrash(t *testing.T) {
	m := preforktest.StartMaster(t, func(srv *prefork.Server) { srv.Workers = 1 })
	if answer, err := dial(t, m.Dial).ask("crash"); err == nil {
		t.Errorf("answered %q after a crash", answer)
	}
	dial(t, m.Dial).must(t, "pid")
}

func TestMasterForks(t *testing.T) {
	m := preforktest.StartMaster(t, func(srv *prefork.Server) { srv.Mode = worker.Forking })
	for range 3 {
		if n := dial(t, m.Dial).must(t, "served"); n != "1" {
			t.Errorf("a process has served %s connections", n)
		}
	}
}

// recorder is a testing.TB that records failures.
type recorder struct {
	testing.TB
	failed   string
	cleanups []func()
}

func (*recorder) Helper()                             {}
func (r *recorder) Errorf(format string, args ...any) { r.failed += fmt.Sprintf(format, args...) }
func (r *recorder) Cleanup(f func())                  { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// failure runs f with a recorder and returns the failure messages.
func failure(t *testing.T, f func(tb testing.TB)) string {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for i := len(r.cleanups) - 1; i >= 0; i-- {
				r.cleanups[i]()
			}
		}()
		f(r)
	}()
	<-done
	return r.failed
}

func TestAServerThatCannotStartFailsTheTest(t *testing.T) {
	start := func(change func(*prefork.Server)) func(testing.TB) {
		return func(tb testing.TB) {
			srv := newServer()
			change(srv)
			preforktest.Start(tb, srv)
		}
	}
	for what, f := range map[string]func(testing.TB){
		"workers: at least 0": start(func(srv *prefork.Server) { srv.Workers = -1 }),
		"process":             start(func(srv *prefork.Server) { srv.Mode = worker.Forking }),
		"did not start: listen": func(tb testing.TB) {
			preforktest.StartMaster(tb, func(srv *prefork.Server) { srv.Listen = []string{"tcp://nowhere"} })
		},
	} {
		if got := failure(t, f); !strings.Contains(got, what) {
			t.Errorf("failed with %q, want %q in it", got, what)
		}
	}
}

func TestAHandlerThatOutlivesItsTestFailsTheTest(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	got := failure(t, func(tb testing.TB) {
		s := preforktest.Start(tb, &prefork.Server{
			Handler: worker.HandlerFunc(func(context.Context, *worker.Conn) error {
				close(started)
				<-release
				return errors.New("not logged, because the test has ended")
			}),
		})
		s.Dial()
		<-started
	})
	if !strings.Contains(got, "still run") {
		t.Errorf("failed with %q", got)
	}
}
