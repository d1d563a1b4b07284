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
//	  │◄─────────────────── report(counters) │ once a second, and when busy
//	  │── drain(hold) ──────────────────────►│ stops accepting, stays warm
//	  │── resume ───────────────────────────►│ accepts again (a rollback)
//	  │── lame_duck ────────────────────────►│ if the server ends: says so if asked
//	  │── drain(deadline) ──────────────────►│ stops accepting for good
//	  │◄───────────────────────────── drained│ nothing in hand; exits 0
//	  │                                      │
//	  │── stop ─────────────────────────────►│ exits at once
//	  │── dump ─────────────────────────────►│ goroutines into the crash file
//	  │── log_level, reopen(fd) ────────────►│ any time after hello,
//	  │                                      │ as is a new access_log(fd);
//	  │◄──────────────────────────────── ack │ until then they are repeated
//	  ▼                                      ▼
//	EOF: the worker is gone              EOF: the master is gone: drain, exit
const (
	// ProtocolVersion is what this build speaks. A peer with another version
	// is refused at Hello. A new message or field does not change it: it
	// grows only when an old peer would misunderstand a new one.
	ProtocolVersion = 2

	// MaxMessage bounds one encoded message, in bytes.
	MaxMessage = 128 << 10

	// MaxText bounds the text of a Failed, in bytes; Encode cuts what is
	// longer. Even if each byte is escaped, the message fits.
	MaxText = 16 << 10

	// MaxDoing bounds Report.Doing, in bytes; Encode cuts what is longer.
	MaxDoing = 256

	// MaxFiles bounds the descriptors that travel with one message.
	MaxFiles = 8
)

// WorkerVariable is 1 in the environment of a process that was started as a
// worker.
const WorkerVariable = "PREFORK_WORKER"

// The descriptors that a worker inherits. Listeners follow, in the order of
// Hello.Listeners.
const (
	ChannelFD    = 3 // the worker's end of the channel
	ScoreboardFD = 4 // the scoreboard's memfd, which all workers share
	SlotFD       = 5 // the memfd of the worker's own Slot
	CrashFD      = 6 // a memfd that receives the runtime's last words
	ListenerFD   = 7 // the first listener
)

// Type names a message on the wire.
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
)

// Message is one datagram of the channel.
type Message interface {
	// Type names the message on the wire.
	Type() Type
}

// Hello is the first message in both directions. Both fill Protocol, Build
// and PID; the rest is the master's.
type Hello struct {
	Protocol int    `json:"protocol"`
	Build    string `json:"build"`
	PID      int    `json:"pid"`

	Slot       int `json:"slot,omitempty"`       // the worker's slot in the scoreboard
	Slots      int `json:"slots,omitempty"`      // slots in the scoreboard
	Generation int `json:"generation,omitempty"` // counts from 1

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

// Ready says that the worker could serve; it accepts once it hears Resume.
type Ready struct{}

// Failed says that the worker cannot start, and why. Code is the exit status
// that follows; 78 (EX_CONFIG) means that another try would fail as well.
type Failed struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// The states that a Report may name.
const (
	StateIdle = "idle"
	StateBusy = "busy"

	// StateLeaving says that the worker got SIGTERM. It serves on until it is
	// drained, for some seconds.
	StateLeaving = "leaving"

	// StateDraining says that the worker has begun to drain and that it was
	// not the master who asked for it.
	StateDraining = "draining"
)

// Report carries what the scoreboard does not: State on a change that the
// master must hear of, and the runtime's figures once a second otherwise.
type Report struct {
	State      string `json:"state,omitempty"`
	LoopLagNS  int64  `json:"loop_lag_ns,omitempty"` // the worst delay of the loop since the last report
	HeapBytes  uint64 `json:"heap_bytes,omitempty"`
	Goroutines int    `json:"goroutines,omitempty"`

	// Doing names the answer that has been under way for the longest time, and
	// DoingNS says for how long; both are empty if there is none.
	Doing   string `json:"doing,omitempty"` // at most MaxDoing bytes
	DoingNS int64  `json:"doing_ns,omitempty"`
}

// Drained says that a drain has ended: the worker holds no connection and
// exits 0 next. After Stop it comes only if connections were cut.
type Drained struct {
	Cut int `json:"cut,omitempty"` // connections closed at the deadline, or by Stop
}

// Ack says that the worker has done what a LogLevel, Reopen or AccessLog with
// this Order asked for. The master sends it again until it hears so: a worker
// that is out of descriptors cannot receive one.
type Ack struct {
	Order uint64 `json:"order"`
}

// Drain makes the worker stop accepting.
//
// With Hold the worker keeps its connections and itself, for a Resume may
// follow. Without Hold it lets its connections go, cuts what is left after
// TimeoutMS and exits.
//
// Own names the listeners that no other generation serves. With Hold they are
// accepted from as before; without, the worker accepts from them until GraceMS
// have passed and the queue is empty, so that no completed handshake is lost.
type Drain struct {
	Hold      bool     `json:"hold,omitempty"`
	TimeoutMS int64    `json:"timeout_ms,omitempty"`
	GraceMS   int64    `json:"grace_ms,omitempty"`
	Own       []string `json:"own,omitempty"`
}

// Resume makes the worker accept, for the first time or again after Drain
// with Hold.
type Resume struct{}

// LameDuck says that the whole server is going to end, and not only this worker
// or its generation: health checks should fail from here on. It changes nothing
// else, and comes before the Drain.
type LameDuck struct{}

// Stop makes the worker exit at once, whatever it holds.
type Stop struct{}

// Dump makes the worker write every goroutine's stack into its crash file.
type Dump struct{}

// LogLevel changes the level of the worker's log.
type LogLevel struct {
	Order uint64 `json:"order,omitempty"` // to be acknowledged; 0 not
	Level string `json:"level"`
}

// Reopen carries one descriptor, the reopened log file, which the worker puts
// in place of its standard error.
type Reopen struct {
	Order uint64 `json:"order,omitempty"` // to be acknowledged; 0 not
}

// AccessLog carries one descriptor, the access log: right after the master's
// Hello if there is one, and again when it was reopened. The worker may not be
// allowed to open the file itself.
type AccessLog struct {
	Order uint64 `json:"order,omitempty"` // to be acknowledged; 0 not
}

// Unknown is a message of a type that this build does not know. It is no
// error: a newer peer may say more than an older one understands.
type Unknown struct {
	Name Type `json:"-"` // travels as the type, beside no body
}

// Type implements Message, as do the methods below.
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
func (u *Unknown) Type() Type {
	return u.Name
}

// makers is the one list of what can be decoded.
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
}

// descriptorsOf returns how many descriptors travel with m. Who sends more than the
// receiver knows of is newer; who sends fewer is wrong.
func descriptorsOf(m Message) int {
	switch m.(type) {
	case *Reopen, *AccessLog:
		return 1
	}
	return 0
}

// ErrTooLong is wrapped by the error of Encode, Decode and Receive for a
// message over MaxMessage bytes.
var ErrTooLong = errors.New("message too long")

// ProtocolError is a message that could not be understood. The channel is
// still in step after it: datagrams keep their borders.
type ProtocolError struct {
	Type Type   // as far as it was legible
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
