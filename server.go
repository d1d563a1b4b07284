package prefork

import (
	"context"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"prefork/master"
	"prefork/worker"
)

// Server is a pre-fork server. The zero value with a Handler, a NewHandler or
// a Service serves on tcp://127.0.0.1:9999 with one worker a CPU, a goroutine
// per connection.
//
// Fields must not change after Run or HandleRequest. In a reload, Reload returns a new Server
// whose fields replace these, those of the last group aside.
type Server struct {
	// Listen holds the addresses to serve: tcp://host:port (both families if
	// host is empty or [::]), tcp4://, tcp6://, unix:///path and systemd:NAME.
	// A unix address takes ?mode=0660&owner=user&group=group.
	Listen []string // every socket that systemd passed, else {"tcp://127.0.0.1:9999"}

	// Exactly one of these is the program, as in worker.Options. Configure may
	// set it in the worker instead, out of Settings.
	Handler    worker.Handler
	NewHandler func() worker.Handler
	Service    worker.Service
	Hooks      any
	Configure  func(settings json.RawMessage, o *worker.Options) error
	Settings   json.RawMessage // handed to Configure in each worker

	Mode       worker.Mode // worker.Threading
	Workers    int         // workers, or the fewest if MaxWorkers is larger; one a CPU, MaxWorkers at most
	MaxWorkers int         // Workers
	MinSpare   int         // idle workers to keep: 1 when dynamic; Workers, or four a CPU, when forking
	MaxSpare   int         // idle workers to keep at most; MinSpare+2

	// MaxChildren bounds the processes in mode forking, as in ForkingMixIn.
	MaxChildren int // 40

	RequestQueueSize int // the listen backlog; 4096, capped by the kernel's somaxconn
	NoReuseAddress   bool

	// The limits of a worker, documented at worker.Config.
	MaxConnections int           // 10,000
	ReadTimeout    time.Duration // none
	WriteTimeout   time.Duration // 1 min without progress; negative: none
	IdleTimeout    time.Duration // 5 min, none for a Service; negative: none
	HandlerTimeout time.Duration // none
	Timeout        time.Duration // none
	PollInterval   time.Duration // 500 ms
	Poller         string        // "epoll"
	DrainIdle      time.Duration // 5 s

	// How the master treats its workers, documented at policy.Config.
	DrainTimeout      time.Duration // 30 s
	LameDuck          time.Duration // none
	StartTimeout      time.Duration // 10 s
	Probation         time.Duration // 2 s
	WorkerTimeout     time.Duration // 30 s, at least 2 s; negative: never
	CrashBudget       float64       // 64 a minute
	MaxOldGenerations int           // 8

	// Recycling replaces a worker after so many connections, so much time, or
	// above so much resident memory. 0 is never.
	RecycleConnections uint64
	RecycleAge         time.Duration
	RecycleRSS         uint64 // bytes

	LogLevel string // debug, info, warn or error; "info"

	// AccessFormat is what AccessLog has: a JSON object for each connection, or a
	// line in the common log format for each request, which is for programs that
	// serve HTTP through handlers.HTTPServer.
	AccessFormat string // json or common; "json"

	// AccessSample is the share that is recorded, above 0 and up to 1. What
	// failed always is: a connection whose outcome is not ok, a request that was
	// answered with 500 or more.
	AccessSample float64 // 1, everything

	// Reload returns the configuration of the next generation. nil means: the
	// same again. It is called in the master, on a goroutine of its own, once
	// at a time. ctx ends after StartTimeout, or when the server ends; two
	// seconds later the master gives the reload up, and what is returned then is
	// let go. Until it returns, further reloads fail.
	Reload func(ctx context.Context) (*Server, error)

	// The rest is fixed while the master runs; a reload that changes it is
	// refused with the name of the field.

	Control   string // path of the control socket; "" none
	PIDFile   string // "" none
	LogFile   string // takes the place of standard error; reopened on USR1; "" none
	LogFormat string // auto, console or json; "auto"

	// AccessLog is a file for one record a connection or request, reopened on
	// USR1; "-" is standard output, "" none. HandleRequest writes none.
	AccessLog string

	// ControlHandler answers on the control socket what is not below /v1/, such
	// as GET /metrics, for the server's own user and root only.
	ControlHandler http.Handler

	// Logger replaces the log that LogFile, LogFormat and LogLevel describe,
	// in the master only.
	Logger *zap.Logger

	// Version is shown by status and compared in the handshake.
	Version string

	master  atomic.Pointer[master.Master] // set by Run in the first process
	oneShot oneShot                       // of HandleRequest
}
