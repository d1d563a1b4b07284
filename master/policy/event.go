package policy

import "time"

// ID names one worker process for its whole life. IDs grow and are never used
// twice; slots are.
type ID uint64

// Event is something that happened. The owner loop feeds events to
// Machine.Step one at a time, in the order in which it saw them.
type Event interface{ event() }

// Boot is the first event: the configuration of generation 1, whose listeners
// are bound. Leftovers says that there are workers of an earlier master, which
// finish their connections.
type Boot struct {
	Config    Config
	Leftovers bool
}

// Spawned says that the process asked for by Spawn runs.
type Spawned struct {
	ID  ID
	PID int
}

// SpawnFailed says that it could not be started; no Exited follows.
type SpawnFailed struct {
	ID  ID
	Err string
}

// Ready says that a worker has finished its start and waits for Accept.
type Ready struct{ ID ID }

// Failed says that a worker cannot start; its exit follows. Code 78 means that
// another try is pointless.
type Failed struct {
	ID   ID
	Code int
	Err  string
}

// Busy says that a one-shot worker has taken its connection.
type Busy struct {
	ID   ID
	Idle bool // its counters say that it has accepted none
}

// Drained says that a worker has let go of all its connections and is about
// to exit 0.
type Drained struct{ ID ID }

// Terminated says that a worker got SIGTERM. It serves on until DrainWorker or
// StopWorker, because only the master knows who takes what is queued when it
// has gone.
type Terminated struct{ ID ID }

// Leaving says that a worker has begun to drain without the master's asking: it
// cannot go on, or got no answer to Terminated. Its exit follows.
type Leaving struct{ ID ID }

// Closed says that a worker has closed its channel, and has not exited yet.
type Closed struct{ ID ID }

// Unfit says that a worker cannot be trusted any more: for example, it sent an
// invalid message.
type Unfit struct {
	ID  ID
	Err string
}

// Exited says that a worker's process is gone and reaped. Signal is 0 if it
// left by itself. What the worker said before it left must be told first: a
// one-shot worker that exits without Busy is taken for one that served nobody.
type Exited struct {
	ID     ID
	Code   int
	Signal int
	Lost   int // connections that it cut or took along
}

// Sampled carries what the workers and the kernel say of the living
// workers. The master sends one every Config.SampleInterval.
type Sampled struct {
	Samples []Sample
	Waiting bool // a connection waits to be accepted
}

// Sample is one worker's line in Sampled.
type Sample struct {
	ID     ID
	Active int           // connections in hand
	Served uint64        // connections accepted so far
	Beaten bool          // there was a heartbeat since the last sample
	Silent time.Duration // since its last heartbeat, whether the master ran or not
	RSS    uint64        // resident bytes; 0 if not read

	// Suspended says that the process is stopped, by a signal or a tracer. It
	// may be false for a worker whose heartbeat is recent.
	Suspended bool

	// Full says that the worker could not take a connection.
	Full bool

	Stuck time.Duration // how long the worker has not read its channel, which is full
}

// Request names a command whose outcome somebody waits for: one Answer follows.
// 0 is nobody, as for a signal. Numbers are used once.
type Request uint64

// Cancel says that nobody waits for the answer any more.
type Cancel struct{ Request Request }

// Reload asks for a new generation. A Verdict follows. A reload that is asked
// for while one runs is the next one, which begins after that one's Verdict.
type Reload struct{ Request Request }

// Loaded answers a Load that was not given up: the new configuration with its listeners bound, or, if
// Err is not empty, the reason why there is none. Without Err it becomes
// generation Machine.NextGeneration, as it stands before this Step, even if it
// is refused: Retire says so.
type Loaded struct {
	Config Config
	Err    string
}

// Listening answers Listen: the generation's sockets listen or, if Err is not
// empty, one of them cannot.
type Listening struct {
	Generation int
	Err        string
}

// Scale changes the number of workers: to To, or by By if To is 0. The answer
// comes when as many serve, or after the StartTimeout of the generation that
// serves. With a Request, what is out of bounds is refused; without, the pool
// gets the nearest size.
type Scale struct {
	To, By  int
	Request Request
}

// Recycle asks for one worker to be replaced: once its replacement accepts or,
// if Now, at once, whoever is left to accept. The answer comes when it is gone.
type Recycle struct {
	ID      ID
	Now     bool
	Request Request
}

// Drain asks for an orderly end (SIGTERM). During a drain another one ends it at
// once, unless it has a Request: then it only waits.
type Drain struct{ Request Request }

// Interrupt is SIGINT: a drain, or the end of a drain's patience.
type Interrupt struct{}

// Stop asks for the end at once (SIGQUIT).
type Stop struct{ Request Request }

// Tick says that the time given by Machine.Wake has come.
type Tick struct{}

func (Boot) event()        {}
func (Spawned) event()     {}
func (SpawnFailed) event() {}
func (Ready) event()       {}
func (Failed) event()      {}
func (Busy) event()        {}
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
