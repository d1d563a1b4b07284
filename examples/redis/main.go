// Command redis is a small key-value server that speaks Redis's protocol
// (RESP2): PING, ECHO, SET, GET, DEL, INCR, and as much of CONFIG, COMMAND and
// QUIT as redis-cli and redis-benchmark ask for.
//
//	go run ./examples/redis
//	redis-cli -p 6380 set greeting hello
//	redis-benchmark -p 6380 -t ping,set,get,incr -c 50 -n 20000 -P 16 -q
//
// # The store is each worker's own
//
// Workers share no memory, so each worker has its own keys. A connection belongs
// to one worker. A key that is set on one connection may not exist on another,
// and is lost when its worker is replaced. The example shows this property of
// pre-forking. A shared store needs -workers 1 or a place outside the workers.
//
// # Limits
//
// commandLimits bound the memory of one client, and storeLimit bounds the store
// of a worker. A protocol error is answered with an error and ends the
// connection, as in Redis.
package main

import (
	"context"
	"flag"
	"log"
	"os"

	"prefork"
	"prefork/worker"
)

func main() {
	listen := flag.String("listen", "tcp://127.0.0.1:6380", "the `address` to serve")
	workers := flag.Int("workers", 0, "how many workers, each with its own store; 0 is one a CPU")
	flag.Parse()
	keys := newStore(storeLimit) // main runs in every worker: one store each
	srv := &prefork.Server{
		Config: prefork.Config{Listen: []string{*listen}, Workers: *workers},
		NewHandler: func() worker.Handler {
			return &session{StreamHandler: worker.StreamHandler{RBufSize: readBuffer}, store: keys}
		},
	}
	err := srv.Run(context.Background())
	if err != nil {
		log.Print(err)
	}
	os.Exit(prefork.ExitCode(err))
}

// session serves one connection.
type session struct {
	worker.StreamHandler
	store *store
}

// Handle answers commands until the client disconnects. Replies to pipelined
// commands are sent together: WFile is flushed when RFile has to wait.
func (s *session) Handle(context.Context, *worker.Conn) error {
	return serve(newReader(s.RFile), replies{s.WFile}, s.store)
}
