package policy

import (
	"fmt"
	"time"
)

// Action is something that the master must do, in the order in which Step
// returned it. The machine does not expect it to fail: errors come back as
// events.
type Action interface{ action() }

// Load reads the configuration and binds new listeners, within the StartTimeout
// of the generation that serves. Loaded follows, unless a Verdict ends the
// reload before that: then the load is given up.
type Load struct{}

// Spawn starts a worker; Spawned or SpawnFailed follows.
type Spawn struct {
	ID         ID
	Slot       int `script:"always"`
	Generation int
}

// Listen makes the sockets of Generation listen. Until then they are only
// bound. Listening follows, and no worker of Generation accepts before that.
type Listen struct{ Generation int }

// Accept lets a worker take connections, for the first time or again.
type Accept struct{ ID ID }

// DrainWorker makes a worker stop accepting. With Hold it may have to accept
// again; without, it finishes within Timeout and exits. With TakeQueued it
// first takes what is queued on listeners that no newer generation serves.
type DrainWorker struct {
	ID         ID
	Hold       bool
	TakeQueued bool
	Timeout    time.Duration
}

// LameDuck tells a worker that the server is going to end, so that its health
// checks fail. It goes on serving.
type LameDuck struct{ ID ID }

// StopWorker makes a worker exit at once.
type StopWorker struct{ ID ID }

// Kill ends a worker with SIGKILL.
type Kill struct{ ID ID }

// Dump makes a worker write the stacks of its goroutines into its crash file.
type Dump struct{ ID ID }

// Quiesce stops new handshakes on the listeners that close with Generation:
// when the server ends all of them, else those that the committed generation
// does not have. DrainWorker with TakeQueued follows.
type Quiesce struct{ Generation int }

// Commit makes Generation the one that serves. Listeners that only its
// predecessor has stay open until Retire.
type Commit struct{ Generation int }

// Retire closes the listeners that only Generation had, after its last worker
// has exited. It comes once for each generation, except the last one that
// serves.
type Retire struct{ Generation int }

// Notify is a message to the service manager.
type Notify struct {
	State  NotifyState
	Status string // one line for people
}

// String writes n as a line of the script.
func (n Notify) String() string { return fmt.Sprintf("notify %s %q", notifyNames[n.State], n.Status) }

// NotifyState is the state in a Notify.
type NotifyState uint8

// The states of a Notify. NotifyStatus changes only the status line.
const (
	NotifyStatus NotifyState = iota
	NotifyReady
	NotifyReloading
	NotifyStopping
)

var notifyNames = [...]string{"status", "ready", "reloading", "stopping"}

// Answer is the outcome of a command: Err is empty if it was done. There is one
// for each Request, unless it was cancelled.
type Answer struct {
	Request Request
	Err     string
	Target  string // of Scale: the size that the pool should have now
}

// Verdict ends a reload. Err is empty if the new generation serves and has
// passed its probation. The Answers follow.
type Verdict struct {
	Generation int // that serves now
	Err        string
}

// Note is a log line. The last one about a worker is "worker exited", with the
// cause in the field event.
type Note struct {
	Level   Level
	Message string // constant
	ID      ID     // of the worker it is about, or 0
	Fields  []Field
}

// Level is the level of a Note.
type Level uint8

// Info is a transition, Warn is degraded service, Error needs a person. The
// order is that of zap's levels.
const (
	Debug Level = iota
	Info
	Warn
	Error
)

// Field is one variable of a Note. Value is a string, an int, a bool or a
// time.Duration.
type Field struct {
	Key   string
	Value any
}

// Exit ends the master. Code is its exit status; Err is empty after a drain.
type Exit struct {
	Code      int `script:"always"`
	Err       string
	Leftovers time.Duration // how long workers of an earlier master may still take
}

// KillLeftovers kills the workers of an earlier master that have not finished.
type KillLeftovers struct{}

func (Load) action()          {}
func (Spawn) action()         {}
func (Listen) action()        {}
func (Accept) action()        {}
func (DrainWorker) action()   {}
func (LameDuck) action()      {}
func (StopWorker) action()    {}
func (Kill) action()          {}
func (Dump) action()          {}
func (Quiesce) action()       {}
func (Commit) action()        {}
func (Retire) action()        {}
func (Notify) action()        {}
func (Answer) action()        {}
func (Verdict) action()       {}
func (Note) action()          {}
func (KillLeftovers) action() {}
func (Exit) action()          {}
