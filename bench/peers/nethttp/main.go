// Nethttp is the HTTP server that a Go programmer would write without prefork:
// net/http with http.FileServer, in one process or in several (package listen).
//
//	nethttp ROOT PROCESSES
//
// GET /healthz answers "ok", as prefork's handler http does; everything else is a
// file below ROOT.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"strconv"

	"prefork/bench/peers/internal/listen"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: nethttp ROOT PROCESSES")
	}
	n, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatalf("processes: %v", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "ok\n") // a client that has gone gets no answer
	})
	mux.Handle("/", http.FileServer(http.Dir(os.Args[1])))
	l, err := listen.Processes(n)
	if err != nil {
		log.Fatalf("listen: %v", err)
	}
	log.Fatalf("serve: %v", http.Serve(l, mux))
}
