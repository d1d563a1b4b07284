package integration

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"prefork/internal/load"
)

// Kind is a way to load a server.
type Kind string

// The kinds of load.
const (
	// Persistent clients send line after line on one connection and hang up
	// after Load.PerConn of them. They ask each connection for its worker first.
	Persistent Kind = "persistent"
	// PerRequest clients connect, send one line, read the answer and close.
	PerRequest Kind = "per request"
	// KeepAlive clients speak HTTP/1.1 on one connection until an answer says
	// Connection: close. They never retry.
	KeepAlive Kind = "keep-alive"
)

// Load describes a number of clients that do the same thing, for the engine of
// `prefork load` to do.
type Load struct {
	Kind    Kind
	Network string // "tcp"
	Address string
	Clients int
	Pause   time.Duration // between two requests of one client: the machine is small
	PerConn int           // requests on a Persistent connection; 0: as many as there are
	Timeout time.Duration // of a connect, and of an answer; 10 s
	// Dial bounds a connect, if that is to differ from Timeout.
	Dial time.Duration
}

// aDay is longer than any test.
const aDay = 24 * time.Hour

// options says the same to the engine. Each request has a number of its own,
// and each answer is compared letter by letter.
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

// Running is a load under way.
type Running struct {
	Load Load
	run  *load.Run
	once sync.Once
}

// Start sets the clients going. They run until Stop, or until ctx ends. It
// panics if the engine does not take the load, which is a mistake in the test.
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

// Follow is Start in the engine's own words. It sets how long the load lasts,
// and has one thread do it.
func Follow(ctx context.Context, o load.Options) *Running {
	o.Loops, o.Duration = 1, aDay
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

// Longest returns how long a request waited for its answer, at the worst, once
// the load has been stopped. What failed does not count.
func (r *Running) Longest() time.Duration {
	return time.Duration(r.run.Wait().Uncorrected.MaxS * float64(time.Second))
}

// Stop lets each client finish its request and returns the final tally.
func (r *Running) Stop() *Tally {
	r.once.Do(r.run.Stop)
	r.run.Wait()
	return r.Tally()
}
