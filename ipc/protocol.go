package ipc

import (
	"encoding/json"
	"errors"
	"fmt"
)

// The protocol of one worker's life. Each arrow is one datagram; Hello is
// the first in both directions.
//
//	master                                worker
//	  │ fork+exec, channel is fd 3           │
//	  │── hello(config, listeners, slot) ───►│
//	  │── access_log(fd) ───────────────────►│ if there is one; ack
//	  │◄───────────── hello(protocol, build) │
//	  │                                      │ builds its handler
//	  │◄─────────────────────────────── ready│  or failed(code, message)
//	  │── resume ───────────────────────────►│ accepts from here on
//	  │◄────────────────────── report(state) │ busy, leaving, …
//	  │── drain(hold) ──────────────────────►│ stops accepting
//	  │── resume ───────────────────────────►│ accepts again (a rollback)
//	  │── lame_duck ────────────────────────►│ if the server ends: /healthz fails
//	  │── drain(deadline) ──────────────────►│ stops accepting for good
//	  │◄───────────────────────────── drained│ no connection is left; exits 0
//	  │                                      │
//	  │── stop ─────────────────────────────►│ exits at once
//	  │── dump ─────────────────────────────►│ goroutines into the crash file
//	  │── log_level, reopen(fd) ────────────►│ any time after hello,
//	  │                                      │ as is a new access_log(fd);
//	  │◄──────────────────────────────── ack │ until then they are repeated
//	  ▼                                      ▼
//	EOF: the worker is gone              EOF: the master is gone: drain, exit
//
// A zygote is started as a worker is. It serves nothing, and clones itself instead.
// Its Ready says that it can. The child is the master's own, has the Hello of the
// zygote, and sends Ready first.
//
//	master                    zygote               child
//	  │── fork(id, channel,…) ──►│ clones ──────────►│
//	  │◄────── forked(id, pid) ──│                   │
//	  │◄─────────────────────────────────────── ready│
//	  │── resume ───────────────────────────────────►│ as above
const (
	// ProtocolVersion is what this build speaks; a peer with another version is
	// refused at Hello. It does not change for a new message or field, only if an
	// old peer would misunderstand a new one.
	ProtocolVersion = 3

	MaxMessage = 128 << 10 // bytes of an encoded message
	MaxText    = 16 << 10  // bytes of Failed.Message, Forked.Error; it fits even if each byte is escaped
	MaxDoing   = 256       // bytes of Slot.Doing
	MaxFiles   = 8         // descriptors with one message

	MaxStillborn = 64 // entries of Forked.Stillborn
)

// WorkerVariable is the environment variable that is 1 in a worker.
const WorkerVariable = "PREFORK_WORKER"

// ZygoteVariable is, beside WorkerVariable, the environment variable of a process that
// forks workers instead of serving. ZygoteTest makes it try that out: it forks processes
// of its own, says Ready or Failed, and exits.
const (
	ZygoteVariable = "PREFORK_ZYGOTE"

	ZygoteOn   = "1"
	ZygoteTest = "test"
)

// ExitNotForkable is the Code of a zygote's Failed if a condition for forking does not
// hold: the workers must be executed.
const ExitNotForkable = 79

// ProcsVariable is set in a worker if the master has set its GOMAXPROCS. The worker
// unsets both, because they are not meant for the programs that it starts.
const ProcsVariable = "PREFORK_GOMAXPROCS"

// The descriptors that a worker inherits. Listeners follow, in the order of
// Hello.Listeners.
const (
	ChannelFD    = 3 // the worker's end of the channel
	ScoreboardFD = 4 // the scoreboard's memfd, which all workers share
	SlotFD       = 5 // the memfd of the worker's own Slot
	CrashFD      = 6 // the crash file
	ListenerFD   = 7 // the first listener
)

// Type is a message's name on the wire.
type Type string

// The message types.
const (
	TypeHello     Type = "hello"
	TypeReady     Type = "ready"
	TypeFailed    Type = "failed"
	TypeReport    Type = "report"
	TypeDrained   Type = "drained"
	TypeAck       Type = "ack"
	TypeDrain     Type = "drain"
	TypeResume    Type = "resume"
	TypeLameDuck  Type = "lame_duck"
	TypeStop      Type = "stop"
	TypeDump      Type = "dump"
	TypeLogLevel  Type = "log_level"
	TypeReopen    Type = "reopen"
	TypeAccessLog Type = "access_log"
	TypeFork      Type = "fork"
	TypeForked    Type = "forked"
)

// Message is one datagram of the channel.
type Message interface{ Type() Type }

// Hello is the first message in both directions. Both fill Protocol, Build
// and PID; the rest is the master's.
type Hello struct {
	Protocol int    `json:"protocol"`
	Build    string `json:"build"`
	PID      int    `json:"pid"`

	Slot       int `json:"slot,omitempty"`       // the worker's place in the scoreboard
	Slots      int `json:"slots,omitempty"`      // of the scoreboard
	Generation int `json:"generation,omitempty"` // from 1

	Listeners []Listener      `json:"listeners,omitempty"`
	Config    json.RawMessage `json:"config,omitempty"` // the worker's own configuration
	LogLevel  string          `json:"log_level,omitempty"`
	LogFormat string          `json:"log_format,omitempty"`
}

// Listener describes one inherited listening socket.
type Listener struct {
	Name    string `json:"name"`    // as configured, unique in a generation
	Network string `json:"network"` // "tcp" or "unix"
	Address string `json:"address"` // as bound: host:port or a path
}

// Ready says that the worker can serve. It accepts after the first Resume.
type Ready struct{}

// Failed says that the worker cannot start, and why. It exits with Code next; 78
// (EX_CONFIG) means that another try would fail as well.
type Failed struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// The states in a Report.
const (
	StateIdle = "idle"
	StateBusy = "busy"

	StateLeaving  = "leaving"  // got SIGTERM: it serves until the master drains it
	StateDraining = "draining" // began a drain that the master did not order
	StateActive   = "active"   // accepted a connection, the first since Slot.Calm was set
)

// Report says that the worker's State has changed. Its figures are in its Slot.
type Report struct {
	State string `json:"state,omitempty"`
}

// Drained says that a drain has ended. The worker has no connection and exits 0
// next. After Stop it comes only if connections were cut.
type Drained struct {
	Cut int `json:"cut,omitempty"` // connections closed at the deadline, or by Stop
}

// Ack says that the worker has done what a LogLevel, Reopen or AccessLog with
// this Order asked for. The master repeats the order until then: a worker that is
// out of descriptors cannot receive one.
type Ack struct {
	Order uint64 `json:"order"`
}

// Drain makes the worker stop accepting. With Hold it keeps its connections, and a
// Resume may follow. Without Hold it finishes them, closes what is left after
// TimeoutMS and exits.
//
// Own names the listeners that no other generation serves. With Hold the worker
// accepts from them as before; without, until GraceMS have passed and the queue is
// empty, so that no completed handshake is lost.
type Drain struct {
	Hold      bool     `json:"hold,omitempty"`
	TimeoutMS int64    `json:"timeout_ms,omitempty"`
	GraceMS   int64    `json:"grace_ms,omitempty"`
	Own       []string `json:"own,omitempty"`
}

// Resume makes the worker accept, for the first time or again after Drain
// with Hold.
type Resume struct{}

// LameDuck says that the whole server is going to end, not only this worker or its
// generation: health checks should fail from now on. A Drain follows.
type LameDuck struct{}

// Stop makes the worker close its connections and exit at once.
type Stop struct{}

// Dump makes the worker write every goroutine's stack into its crash file.
type Dump struct{}

// LogLevel changes the level of the worker's log.
type LogLevel struct {
	Order uint64 `json:"order,omitempty"` // for Ack; 0 wants none
	Level string `json:"level"`
}

// Reopen carries one descriptor, the reopened log file, which the worker makes its
// standard error.
type Reopen struct {
	Order uint64 `json:"order,omitempty"` // for Ack; 0 wants none
}

// AccessLog carries one descriptor, the access log: after the master's Hello if
// there is one, and again when it was reopened. The worker may not be allowed to
// open the file itself.
type AccessLog struct {
	Order uint64 `json:"order,omitempty"` // for Ack; 0 wants none
}

// Fork makes a zygote clone a worker. Three descriptors travel with it: the worker's
// end of its channel, its Slot's memory and its crash file. The worker makes them
// ChannelFD, SlotFD and CrashFD. The zygote answers with Forked, in the order of the
// requests.
//
// The worker stays in the zygote's process group. The master gives it one of its own
// when it takes it over, so it finds those that it has to reap after the zygote died.
type Fork struct {
	ID       uint64 `json:"id"`                  // for Forked
	Slot     int    `json:"slot,omitempty"`      // the worker's place in the scoreboard
	LogLevel string `json:"log_level,omitempty"` // of the worker
}

// Forked answers Fork: the worker has PID, or there is none and Error says why.
// Stillborn are children that were made before and exited at once, because the copy
// of the runtime may not have been sound. The receiver of the message has to reap them.
type Forked struct {
	ID        uint64 `json:"id"`
	PID       int    `json:"pid,omitempty"`
	Stillborn []int  `json:"stillborn,omitempty"` // MaxStillborn at most
	Error     string `json:"error,omitempty"`     // MaxText at most
}

// Unknown is a message that this build does not know; a newer peer may send it.
type Unknown struct {
	Name Type `json:"-"` // the type on the wire
}

// Type implements Message.
func (*Hello) Type() Type     { return TypeHello }
func (*Ready) Type() Type     { return TypeReady }
func (*Failed) Type() Type    { return TypeFailed }
func (*Report) Type() Type    { return TypeReport }
func (*Drained) Type() Type   { return TypeDrained }
func (*Ack) Type() Type       { return TypeAck }
func (*Drain) Type() Type     { return TypeDrain }
func (*Resume) Type() Type    { return TypeResume }
func (*LameDuck) Type() Type  { return TypeLameDuck }
func (*Stop) Type() Type      { return TypeStop }
func (*Dump) Type() Type      { return TypeDump }
func (*LogLevel) Type() Type  { return TypeLogLevel }
func (*Reopen) Type() Type    { return TypeReopen }
func (*AccessLog) Type() Type { return TypeAccessLog }
func (*Fork) Type() Type      { return TypeFork }
func (*Forked) Type() Type    { return TypeForked }
func (u *Unknown) Type() Type { return u.Name }

// makers has every message that can be decoded.
var makers = map[Type]func() Message{
	TypeHello:     func() Message { return new(Hello) },
	TypeReady:     func() Message { return new(Ready) },
	TypeFailed:    func() Message { return new(Failed) },
	TypeReport:    func() Message { return new(Report) },
	TypeDrained:   func() Message { return new(Drained) },
	TypeAck:       func() Message { return new(Ack) },
	TypeDrain:     func() Message { return new(Drain) },
	TypeResume:    func() Message { return new(Resume) },
	TypeLameDuck:  func() Message { return new(LameDuck) },
	TypeStop:      func() Message { return new(Stop) },
	TypeDump:      func() Message { return new(Dump) },
	TypeLogLevel:  func() Message { return new(LogLevel) },
	TypeReopen:    func() Message { return new(Reopen) },
	TypeAccessLog: func() Message { return new(AccessLog) },
	TypeFork:      func() Message { return new(Fork) },
	TypeForked:    func() Message { return new(Forked) },
}

// descriptorsOf returns how many descriptors must travel with m. A newer peer may
// send more.
func descriptorsOf(m Message) int {
	switch m.(type) {
	case *Reopen, *AccessLog:
		return 1
	case *Fork:
		return 3
	}
	return 0
}

// ErrTooLong is wrapped by the error of Encode, Decode and Receive for a
// message over MaxMessage bytes.
var ErrTooLong = errors.New("message too long")

// ProtocolError is a message that could not be understood. Receive goes on with the
// next one.
type ProtocolError struct {
	Type Type   // if it could be read
	Data []byte // the first bytes of the datagram
	Err  error
}

// Error names the message and shows how it began.
func (e *ProtocolError) Error() string {
	if e.Type == "" {
		return fmt.Sprintf("bad message %q: %v", e.Data, e.Err)
	}
	return fmt.Sprintf("bad %s message %q: %v", e.Type, e.Data, e.Err)
}

// Unwrap returns the cause.
func (e *ProtocolError) Unwrap() error { return e.Err }
