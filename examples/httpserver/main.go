// Command httpserver runs net/http in pre-forked workers. The workers share one
// listener, a crash loses only the requests of one worker, and after TERM the
// server answers the requests in progress before it exits.
//
//	go run ./examples/httpserver
//	curl -i http://127.0.0.1:8080/
//	curl -N http://127.0.0.1:8080/ticks     # ends when the worker drains
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"prefork"
	"prefork/worker/handlers"
)

func main() {
	listen := flag.String("listen", "tcp://127.0.0.1:8080", "the `address` to serve")
	flag.Parse()
	srv := &prefork.Server{
		Config: prefork.Config{Listen: []string{*listen}},
		Service: handlers.HTTPServer(&http.Server{
			Handler:           newMux(),
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       2 * time.Minute,
		}),
	}
	err := srv.Run(context.Background())
	if err != nil {
		log.Print(err)
	}
	os.Exit(prefork.ExitCode(err))
}

func newMux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "hello from process %d\n", os.Getpid())
	})
	mux.HandleFunc("GET /ticks", ticks)
	return mux
}

// ticks sends the time every second until the client disconnects or the worker
// drains. Without the check for the drain, the worker could not exit before the
// drain deadline.
func ticks(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		if _, err := fmt.Fprintln(w, time.Now().Format(time.TimeOnly)); err != nil {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done(): // the client disconnected, or the drain deadline passed
			return
		case <-handlers.Draining(r.Context()):
			_, _ = fmt.Fprintln(w, "this worker drains; ask again")
			return
		}
	}
}
