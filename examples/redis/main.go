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
// # Two modes
//
// The server runs in mode event, or with -mode threading in another one. Both cut
// what arrives into commands with parser.split, a bufio.SplitFunc, and execute them
// in the same function. A command never waits, so the loop of a worker can serve all
// its connections. In both modes the replies to pipelined commands are sent together.
//
// # Limits
//
// The constants in resp.go bound a command, storeLimit the store of a worker, and
// maxUnsent the replies that a client has not read. A protocol error is answered with
// an error and ends the connection, as in Redis.
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"os"

	"prefork"
	"prefork/worker"
)

// maxUnsent bounds the replies that wait for one client in mode event: the largest,
// and small ones before it.
const maxUnsent = 2 * maxBulk

func main() {
	listen := flag.String("listen", "tcp://127.0.0.1:6380", "the `address` to serve")
	workers := flag.Int("workers", 0, "how many workers, each with its own store; 0 is one a CPU")
	mode := flag.String("mode", string(worker.Event), "event, threading, sequential or forking")
	flag.Parse()
	srv := newServer()
	srv.Listen, srv.Workers, srv.Mode = []string{*listen}, *workers, worker.Mode(*mode)
	err := srv.Run(context.Background())
	if err != nil {
		log.Print(err)
	}
	os.Exit(prefork.ExitCode(err))
}

// newServer returns a server for every mode.
func newServer() *prefork.Server {
	keys := newStore(storeLimit) // main runs in every worker: one store each
	return &prefork.Server{
		Config:       prefork.Config{Limits: prefork.Limits{MaxMessage: maxMessage, MaxUnsent: maxUnsent}},
		EventHandler: newEvents(keys),
		NewHandler:   func() worker.Handler { return &session{store: keys} },
	}
}

// executor executes commands for one connection, or one after the other for many.
type executor struct {
	parser
	replies
	store *store
}

// execute executes the command that split has found, and writes the reply to w. It
// returns io.EOF after QUIT.
func (e *executor) execute(w io.Writer) error {
	if len(e.args) == 0 {
		return nil
	}
	err := execute(e.args, &e.replies, e.store)
	if errors.Is(err, errQuit) {
		err = io.EOF
	}
	return cmp.Or(e.send(w), err)
}

// refuse answers err if it is a violation of the protocol. It returns err.
func (e *executor) refuse(w io.Writer, err error) error {
	if broken, ok := errors.AsType[protocolError](err); ok {
		e.failure("ERR " + broken.Error())
		return errors.Join(err, e.send(w))
	}
	return err
}

// session serves one connection in the modes with a goroutine for each.
type session struct {
	worker.StreamHandler
	store *store
}

// Handle answers commands until the client disconnects. WFile is flushed when RFile
// has to wait.
func (s *session) Handle(context.Context, *worker.Conn) error {
	return (&executor{store: s.store}).serve(s.RFile, s.WFile)
}

func (e *executor) serve(in io.Reader, out io.Writer) error {
	commands := bufio.NewScanner(in)
	commands.Buffer(nil, maxMessage)
	commands.Split(e.split)
	for commands.Scan() {
		if err := e.execute(out); err != nil {
			return err
		}
	}
	return e.refuse(out, commands.Err())
}

// events serves all connections of a worker in mode event. The loop calls it for one
// at a time, so they share an executor.
type events struct {
	worker.EventHandler
	executor *executor
}

func newEvents(keys *store) events {
	e := &executor{store: keys}
	return events{worker.Messages(e.split, func(c *worker.Conn, _ []byte) error { return e.execute(c) }), e}
}

// Data answers the commands in in.
func (e events) Data(c *worker.Conn, in []byte, eof bool) (int, error) {
	used, err := e.EventHandler.Data(c, in, eof)
	return used, e.executor.refuse(c, err)
}
