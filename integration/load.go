package integration

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"prefork/internal/load"
)

// Kind is a kind of client.
type Kind string

// The kinds of clients.
const (
	// Persistent clients send many lines on one connection and close it after
	// Load.PerConn of them. The first line asks for the worker's pid.
	Persistent Kind = "persistent"
	// PerRequest clients connect, send one line, read the answer and close.
	PerRequest Kind = "per request"
	// KeepAlive clients send HTTP/1.1 requests on one connection until an answer
	// has Connection: close. They never retry.
	KeepAlive Kind = "keep-alive"
)

// Load describes clients that all do the same. The engine of `prefork load`
// runs them.
type Load struct {
	Kind    Kind
	Network string // "tcp"
	Address string
	Clients int
	Pause   time.Duration // between two requests of one client: the machine is small
	PerConn int           // requests on a Persistent connection; 0: no limit
	Timeout time.Duration // of a connect, and of an answer; 10 s
	// Dial is the timeout of a connect; 0: Timeout.
	Dial time.Duration
}

// unlimited is a duration longer than any test.
const unlimited = 24 * time.Hour

// options returns the engine's options. Each request has a unique number, and
// each answer is compared byte by byte.
func (l Load) options() load.Options {
	o := load.Options{
		URL: l.Network + "://" + l.Address, Mode: load.Exchange, Connections: l.Clients,
		Pause: l.Pause, Timeout: l.Timeout, Connect: l.Dial,
		Payload: []byte("upper token-{n}\n"), Template: true, Reply: "TOKEN-{n}\n",
	}
	switch l.Kind {
	case Persistent:
		o.Greeting, o.PerConn = "pid", l.PerConn
	case PerRequest:
		o.Mode = load.Churn
	case KeepAlive:
		o.URL = "http://" + l.Address + "/upper?text=token-{n}"
		o.Payload, o.Template, o.Reply = nil, false, strings.Repeat("TOKEN-{n}", 100)
	}
	return o
}

// Running is a load that has been started.
type Running struct {
	Load Load
	run  *load.Run
	once sync.Once
}

// Start starts the clients. They run until Stop is called or ctx ends. Start
// panics if the engine rejects the options, which is a mistake in the test.
func (l Load) Start(ctx context.Context) *Running {
	if l.Network == "" {
		l.Network = "tcp"
	}
	if l.Timeout == 0 {
		l.Timeout = 10 * time.Second
	}
	r := Follow(ctx, l.options())
	r.Load = l
	return r
}

// Follow is Start with the engine's options. It sets the duration and uses one
// thread.
func Follow(ctx context.Context, o load.Options) *Running {
	o.Loops, o.Duration = 1, unlimited
	run, err := load.Start(ctx, o)
	if err != nil {
		panic(fmt.Sprintf("load of %s: %v", o.URL, err))
	}
	return &Running{run: run}
}

// Tally returns what has been counted so far.
func (r *Running) Tally() *Tally {
	return newTally(r.run.Progress().Requests, r.run.Failures())
}

// Longest returns the longest time that a request waited for its answer. Failed
// requests do not count. The load must have been stopped.
func (r *Running) Longest() time.Duration {
	return time.Duration(r.run.Wait().Uncorrected.MaxS * float64(time.Second))
}

// Stop lets each client finish its request and returns the final tally.
func (r *Running) Stop() *Tally {
	r.once.Do(r.run.Stop)
	r.run.Wait()
	return r.Tally()
}
