package prefork_test

import (
	"bufio"
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

// A whole program: it serves on port 9999 until it is told to stop, with one
// worker a CPU. Run does not return in a worker before that is done, so what
// stands after it is the same for both.
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

// shout is StreamRequestHandler's way to write a handler: made anew for each
// connection, with a buffered RFile and WFile.
type shout struct{ worker.StreamHandler }

func (h *shout) Handle(context.Context, *worker.Conn) error {
	for {
		line, err := h.RFile.ReadString('\n')
		if err != nil {
			return err // io.EOF: the client has closed, which is no failure
		}
		if _, err := h.WFile.WriteString(strings.ToUpper(line)); err != nil {
			return err
		}
	}
}

// Mode threading, the default: each connection has a goroutine.
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

// Mode sequential: a worker holds one connection at a time, and the others
// wait in the queue. The process goes on to the next.
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

// Mode forking: each connection has a process of its own, out of a few that
// are kept ready. What a handler does to it, even os.Exit, the next connection
// does not see.
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

// net/http in pre-forked workers. HTTPServer takes care that a drain drops no
// request, so http.Server.Shutdown is not needed.
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

// pool stands for what connections share, such as a *sql.DB.
type pool struct{ open bool }

func openPool(context.Context) (*pool, error) { return &pool{open: true}, nil }

func (p *pool) query(slot int) string { return fmt.Sprintf("pool of worker %d, open %t", slot, p.open) }
func (p *pool) close()                { p.open = false }

// A pool for each worker: WorkerStart opens it before the worker takes a
// connection, WorkerStop closes it after the last one. An error of WorkerStart
// fails the start, or the reload.
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

// A program that learns its port, and ends its server: Ready is called when the
// workers accept, and Shutdown drains them. Close would stop them at once.
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

// One connection in this very process, with no master and no worker:
// socketserver's handle_request().
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

// What follows lets the examples above run within this test binary. A worker
// is the binary started again: it finds the example that it belongs to in the
// environment, and calls it, as main would be called in a program. There try
// comes to Run and does not return.

// exampleEnv names the running example to its workers.
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

// try runs srv on a socket that nobody else uses, and without a log.
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

// dial connects as soon as somebody listens, or fails when done says that
// nobody will.
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

// patience is how long a client waits in vain.
const patience = 20 * time.Second

// ask sends a line on a connection of its own and returns the answer.
func (t *trial) ask(line string) string {
	c, err := t.dial()
	must(err)
	return ask(c, line)
}

// ask sends a line, returns the answer, and closes c. It sends nothing if line
// is empty: to a handler that reads nothing it would be a race with its close.
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
