package prefork_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"go.uber.org/zap"

	"prefork"
	"prefork/worker"
	"prefork/worker/handlers"
)

// A whole program serves on port 9999 until it is stopped, with one worker per
// CPU. main runs in the master and in each worker. In both, Run returns when the
// process has to exit.
func Example() {
	srv := &prefork.Server{
		Config: prefork.Config{Listen: []string{"tcp://127.0.0.1:9999"}},
		Handler: worker.HandlerFunc(func(ctx context.Context, c *worker.Conn) error {
			_, err := io.Copy(c, c)
			return err
		}),
	}
	err := srv.Run(context.Background())
	if err != nil {
		log.Print(err)
	}
	os.Exit(prefork.ExitCode(err))
}

// shout is a handler in the style of StreamRequestHandler. NewHandler creates it
// for each connection, and it has a buffered RFile and WFile.
type shout struct{ worker.StreamHandler }

func (h *shout) Handle(context.Context, *worker.Conn) error {
	for {
		line, err := h.RFile.ReadString('\n')
		if err != nil {
			return err // io.EOF, when the client has closed, is not a failure
		}
		if _, err := h.WFile.WriteString(strings.ToUpper(line)); err != nil {
			return err
		}
	}
}

// In mode threading, the default, each connection has a goroutine.
func ExampleServer_threading() {
	srv := &prefork.Server{
		Config:     prefork.Config{Mode: worker.Threading},
		NewHandler: func() worker.Handler { return new(shout) },
	}
	t := try(srv) // in a program: srv.Run(ctx)
	defer t.stop()

	fmt.Println(t.ask("hello"))
	fmt.Println(t.ask("world"))
	// Output:
	// HELLO
	// WORLD
}

// In mode sequential, a worker has one connection at a time. The others wait in
// the queue.
func ExampleServer_sequential() {
	served := 0 // needs no lock
	srv := &prefork.Server{
		Config: prefork.Config{Mode: worker.Sequential, Workers: 1},
		Handler: worker.HandlerFunc(func(_ context.Context, c *worker.Conn) error {
			served++
			_, err := fmt.Fprintf(c, "connection %d of this process\n", served)
			return err
		}),
	}
	t := try(srv)
	defer t.stop()

	fmt.Println(t.ask(""))
	fmt.Println(t.ask(""))
	// Output:
	// connection 1 of this process
	// connection 2 of this process
}

// In mode forking, each connection has its own process. A few spare processes
// are kept ready. Whatever a handler does, even os.Exit, does not affect other
// connections.
func ExampleServer_forking() {
	served := 0
	srv := &prefork.Server{
		Config: prefork.Config{
			Mode:    worker.Forking,
			Workers: 2, // ready spares
			Limits:  prefork.Limits{MaxChildren: 10},
		},
		Handler: worker.HandlerFunc(func(_ context.Context, c *worker.Conn) error {
			served++
			_, err := fmt.Fprintf(c, "connection %d of this process\n", served)
			return err
		}),
	}
	t := try(srv)
	defer t.stop()

	fmt.Println(t.ask(""))
	fmt.Println(t.ask(""))
	// Output:
	// connection 1 of this process
	// connection 1 of this process
}

// In mode event, a worker has no goroutine for a connection. Its loop calls the
// handler when bytes have arrived. The handler must not wait. Messages cuts the
// bytes into messages: here, lines.
func ExampleServer_event() {
	lines := 0 // of all connections of this worker; needs no lock
	srv := &prefork.Server{
		Config: prefork.Config{Mode: worker.Event, Workers: 1},
		EventHandler: worker.Messages(worker.SplitLines(1024), func(c *worker.Conn, line []byte) error {
			lines++
			_, err := fmt.Fprintf(c, "line %d is %s\n", lines, bytes.ToUpper(line))
			return err
		}),
	}
	t := try(srv)
	defer t.stop()

	fmt.Println(t.ask("hello"))
	fmt.Println(t.ask("world"))
	// Output:
	// line 1 is HELLO
	// line 2 is WORLD
}

// net/http runs in pre-forked workers. With HTTPServer, a drain drops no
// request, so the program does not call http.Server.Shutdown.
func ExampleServer_http() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{name}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "hello, %s", r.PathValue("name"))
	})
	srv := &prefork.Server{
		Service: handlers.HTTPServer(&http.Server{
			Handler:           mux,
			ReadHeaderTimeout: 10 * time.Second,
		}),
	}
	t := try(srv)
	defer t.stop()

	fmt.Println(t.get("/gopher"))
	// Output:
	// hello, gopher
}

// pool stands for a resource that connections share, such as a *sql.DB.
type pool struct{ open bool }

func openPool(context.Context) (*pool, error) { return &pool{open: true}, nil }

func (p *pool) query(slot int) string { return fmt.Sprintf("pool of worker %d, open %t", slot, p.open) }
func (p *pool) close()                { p.open = false }

// Each worker has its own pool. WorkerStart opens it before the worker accepts
// connections, and WorkerStop closes it after the last connection. An error of
// WorkerStart fails the start or the reload.
func ExampleServer_pool() {
	var db *pool
	var slot int
	srv := &prefork.Server{
		Config: prefork.Config{Workers: 1},
		Hooks: worker.Hooks{
			WorkerStart: func(ctx context.Context, w worker.WorkerInfo) (err error) {
				slot = w.Slot
				db, err = openPool(ctx)
				return err
			},
			WorkerStop: func(context.Context) { db.close() },
		},
		Handler: worker.HandlerFunc(func(_ context.Context, c *worker.Conn) error {
			_, err := fmt.Fprintln(c, db.query(slot))
			return err
		}),
	}
	t := try(srv)
	defer t.stop()

	fmt.Println(t.ask(""))
	// Output:
	// pool of worker 0, open true
}

// A program learns its port and ends its server. Ready is called when the
// workers accept connections. Shutdown drains them; Close would stop them at
// once.
func ExampleServer_Shutdown() {
	srv := &prefork.Server{
		Config:  prefork.Config{Listen: []string{"127.0.0.1:0"}},
		Handler: worker.HandlerFunc(func(context.Context, *worker.Conn) error { return nil }),
	}
	srv.Ready = func(addrs []net.Addr) {
		fmt.Println("serving at", addrs[0])
		if err := srv.Shutdown(context.Background()); err != nil {
			log.Print(err)
		}
	}
	if err := srv.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// HandleRequest serves one connection in this process, without a master and
// workers. It is handle_request() of socketserver.
func ExampleServer_HandleRequest() {
	dir, err := os.MkdirTemp("", "prefork")
	must(err)
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")

	srv := &prefork.Server{
		Config:     prefork.Config{Listen: []string{"unix://" + path}},
		NewHandler: func() worker.Handler { return new(shout) },
	}
	defer srv.Close() // server_close()
	done := make(chan error, 1)
	go func() { done <- srv.HandleRequest(context.Background()) }()

	c, err := dial("unix", path, done)
	must(err)
	fmt.Println(ask(c, "hello"))
	fmt.Println(<-done)
	// Output:
	// HELLO
	// <nil>
}

// The rest of the file runs the examples in this test binary. A worker is the
// binary started again. It finds the name of its example in the environment and
// calls it in place of main. In a worker, try calls Run and does not return.

// exampleEnv holds the name of the running example for its workers.
const exampleEnv = "PREFORK_EXAMPLE"

func init() {
	name := os.Getenv(exampleEnv)
	if name == "" || !prefork.IsWorker() {
		return
	}
	map[string]func(){
		"ExampleServer_threading":  ExampleServer_threading,
		"ExampleServer_sequential": ExampleServer_sequential,
		"ExampleServer_forking":    ExampleServer_forking,
		"ExampleServer_event":      ExampleServer_event,
		"ExampleServer_http":       ExampleServer_http,
		"ExampleServer_pool":       ExampleServer_pool,
	}[name]()
}

// trial is a server that runs for one example.
type trial struct {
	server *prefork.Server
	path   string
	done   chan error
}

// try runs srv on a new socket and without a log.
func try(srv *prefork.Server) *trial {
	if prefork.IsWorker() {
		os.Exit(prefork.ExitCode(srv.Run(context.Background())))
	}
	pc, _, _, _ := runtime.Caller(1)
	name := runtime.FuncForPC(pc).Name()
	must(os.Setenv(exampleEnv, name[strings.LastIndex(name, ".")+1:]))
	dir, err := os.MkdirTemp("", "prefork")
	must(err)
	t := &trial{server: srv, path: filepath.Join(dir, "s"), done: make(chan error, 1)}
	srv.Listen = []string{"unix://" + t.path}
	srv.Logger, srv.LogLevel = zap.NewNop(), "error"
	go func() { t.done <- srv.Run(context.Background()) }()
	return t
}

// stop drains the server and waits for its end.
func (t *trial) stop() {
	must(t.server.Shutdown(context.Background()))
	must(<-t.done)
	must(os.Unsetenv(exampleEnv))
	must(os.RemoveAll(filepath.Dir(t.path)))
}

func (t *trial) dial() (net.Conn, error) { return dial("unix", t.path, t.done) }

// dial connects as soon as the server listens. It fails if done reports that the
// server has ended.
func dial(network, address string, done chan error) (net.Conn, error) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; {
		c, err := net.Dial(network, address)
		if err == nil {
			return c, c.SetDeadline(deadline)
		}
		select {
		case err := <-done:
			done <- err
			return nil, fmt.Errorf("the server has ended: %w", err)
		case now := <-tick.C:
			if now.After(deadline) {
				return nil, err
			}
		}
	}
}

// patience is the limit of every wait.
const patience = 20 * time.Second

// ask sends a line on a new connection and returns the answer.
func (t *trial) ask(line string) string {
	c, err := t.dial()
	must(err)
	return ask(c, line)
}

// ask sends a line, returns the answer and closes c. If line is empty it sends
// nothing, because a handler that reads nothing may close c first.
func ask(c net.Conn, line string) string {
	defer c.Close()
	if line != "" {
		_, err := fmt.Fprintln(c, line)
		must(err)
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	must(err)
	return strings.TrimSuffix(answer, "\n")
}

// get fetches a page.
func (t *trial) get(path string) string {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return t.dial() },
	}}
	response, err := client.Get("http://example" + path)
	must(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(err)
	return string(body)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
