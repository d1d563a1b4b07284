package policy

import "time"

// ID identifies a worker. IDs grow and are used once; slots are used again.
type ID uint64

// Event is something that happened. The owner loop feeds events to Machine.Step
// in the order in which it saw them.
type Event interface{ event() }

// Boot is the first event. The listeners of the configuration are bound.
// Leftovers says that workers of an earlier master still run.
type Boot struct {
	Config    Config
	Leftovers bool
}

// Spawned says that the process of a Spawn runs.
type Spawned struct {
	ID  ID
	PID int
}

// SpawnFailed says that it could not be started. No Exited follows.
type SpawnFailed struct {
	ID  ID
	Err string
}

// Ready says that a worker has started and waits for Accept.
type Ready struct{ ID ID }

// Failed says that a worker cannot start and will exit. Code 78 means that
// another try would fail as well.
type Failed struct {
	ID   ID
	Code int
	Err  string
}

// Busy says that a one-shot worker has taken its connection.
type Busy struct {
	ID   ID
	Idle bool // its counters show no connection
}

// Accepted says that a worker has taken a connection while the server was Calm.
type Accepted struct{ ID ID }

// Drained says that a worker has no connections any more and is about to exit
// with 0.
type Drained struct{ ID ID }

// Terminated says that a worker got SIGTERM. It serves until DrainWorker or
// StopWorker, because only the master knows whether another worker can take
// what is queued.
type Terminated struct{ ID ID }

// Leaving says that a worker has begun to drain without an order: it cannot
// continue, or got no answer to Terminated. Its exit follows.
type Leaving struct{ ID ID }

// Closed says that a worker has closed its channel, and has not exited yet.
type Closed struct{ ID ID }

// Unfit says that the master can no longer work with a worker: for example, it
// sent an invalid message.
type Unfit struct {
	ID  ID
	Err string
}

// Exited says that a process is gone and reaped. Signal is 0 if it exited by
// itself. The worker's messages must come first: a one-shot worker that exits
// without Busy has served nobody.
type Exited struct {
	ID     ID
	Code   int
	Signal int
	Lost   int // connections that it cut or had at its exit
}

// Sampled describes the living workers. It comes every SampleInterval, or less often:
// see SampleAfter.
type Sampled struct {
	Samples []Sample
	Waiting bool // a connection waits to be accepted
}

// Sample describes one worker.
type Sample struct {
	ID     ID
	Active int           // open connections
	Served uint64        // connections accepted so far
	Worked bool          // its counters have changed since the last sample
	Beaten bool          // there was a heartbeat since the last sample
	Silent time.Duration // since the last heartbeat, even if the master did not run
	RSS    uint64        // resident bytes; 0 if not read

	// Suspended says that the process is stopped by a signal or a debugger. It
	// may be false if the heartbeat is recent.
	Suspended bool

	// Full says that the worker cannot take another connection.
	Full bool

	Stuck time.Duration // how long its channel has been full
}

// Request identifies a command that somebody waits for: one Answer follows. 0
// is nobody, as for a signal. Numbers are used once.
type Request uint64

// Cancel says that nobody waits for the answer any more.
type Cancel struct{ Request Request }

// Reload asks for a new generation. A Verdict follows. A reload that is
// requested while another one runs starts after that one's Verdict.
type Reload struct{ Request Request }

// Loaded answers a Load that was not given up: the new configuration, whose
// listeners are bound, or an error. Without an error it becomes generation
// NextGeneration, as it was before this Step, even if it is refused: then
// Retire follows.
type Loaded struct {
	Config Config
	Err    string
}

// Listening answers Listen. An error means that a socket cannot listen.
type Listening struct {
	Generation int
	Err        string
}

// Scale changes the number of workers: to To, or by By if To is 0. The answer
// comes when that many serve, or after the StartTimeout of the generation that
// serves. A Request that is out of bounds is refused; a signal gets the nearest
// size.
type Scale struct {
	To, By  int
	Request Request
}

// Recycle replaces a worker: it drains when its replacement accepts or, if Now,
// at once. The answer comes when it is gone.
type Recycle struct {
	ID      ID
	Now     bool
	Request Request
}

// Drain ends the server in order (SIGTERM). A second one cuts the drain short,
// unless it has a Request: then it only waits.
type Drain struct{ Request Request }

// Interrupt is SIGINT: a drain, or the end of one.
type Interrupt struct{}

// Stop ends the server at once (SIGQUIT).
type Stop struct{ Request Request }

// Tick says that the time of Machine.Wake has come.
type Tick struct{}

func (Boot) event()        {}
func (Spawned) event()     {}
func (SpawnFailed) event() {}
func (Ready) event()       {}
func (Failed) event()      {}
func (Busy) event()        {}
func (Accepted) event()    {}
func (Drained) event()     {}
func (Terminated) event()  {}
func (Leaving) event()     {}
func (Closed) event()      {}
func (Unfit) event()       {}
func (Exited) event()      {}
func (Sampled) event()     {}
func (Cancel) event()      {}
func (Reload) event()      {}
func (Loaded) event()      {}
func (Listening) event()   {}
func (Scale) event()       {}
func (Recycle) event()     {}
func (Drain) event()       {}
func (Interrupt) event()   {}
func (Stop) event()        {}
func (Tick) event()        {}
