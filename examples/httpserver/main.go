// Command httpserver runs net/http in pre-forked workers: they share one
// socket, a crash costs the requests of one of them, and TERM answers what is
// under way before it ends.
//
//	go run ./examples/httpserver
//	curl -i http://127.0.0.1:8080/
//	curl -N http://127.0.0.1:8080/ticks     # ends by itself at a drain
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

// ticks answers for as long as the client likes, so it must listen for the
// drain, or the worker could not leave before its deadline.
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
		case <-r.Context().Done(): // the client left, or the deadline came
			return
		case <-handlers.Draining(r.Context()):
			_, _ = fmt.Fprintln(w, "this worker drains; ask again")
			return
		}
	}
}
