package prefork

import (
	"encoding/json"
	"time"

	"prefork/worker"
)

// Config is what a reload can replace: everything about a Server that is not
// its program and is not fixed while the master runs. It is grouped as the
// tables of the daemon's file are. 0 means the default everywhere; where a
// value can be none or never, worker.Disabled is.
type Config struct {
	// Listen holds the addresses to serve: tcp://host:port (both families if
	// host is empty or [::]), tcp4://, tcp6://, unix:///path and systemd:NAME.
	// A unix address takes ?mode=0660&owner=user&group=group.
	Listen []string // every socket that systemd passed, else {"tcp://127.0.0.1:9999"}

	// Settings is handed to Server.Configure in each worker.
	Settings json.RawMessage

	Mode       worker.Mode // worker.Threading
	Workers    int         // workers, or the fewest if MaxWorkers is larger; one a CPU, MaxWorkers at most
	MaxWorkers int         // Workers

	LogLevel         string // debug, info, warn or error; "info"
	RequestQueueSize int    // the listen backlog; 4096, capped by the kernel's somaxconn
	NoReuseAddress   bool

	Poller       string        // "epoll"
	PollInterval time.Duration // 500 ms
	Timeout      time.Duration // how long to wait for a connection before HandleTimeout is called; forever

	Limits   Limits
	Timeouts Timeouts
	Rollout  Rollout
	Recycle  Recycle
	Access   Access
}

// Limits bounds what one generation takes.
type Limits struct {
	MaxConnections int // of a worker; 10,000
	MaxChildren    int // processes in mode forking, as in ForkingMixIn; 40

	MinSpare int // idle workers to keep: 1 when dynamic; Workers, or four a CPU, when forking
	MaxSpare int // idle workers to keep at most; MinSpare+2

	CrashBudget float64 // crashes, each counting half after a minute; 64
}

// Timeouts bounds connections, drains and silent workers.
type Timeouts struct {
	ReadTimeout    time.Duration // of one Read by a handler; none
	WriteTimeout   time.Duration // without progress; 1 min
	IdleTimeout    time.Duration // of silence; 5 min, none for a Service
	HandlerTimeout time.Duration // of a whole connection; none
	DrainTimeout   time.Duration // 30 s
	DrainIdle      time.Duration // of silence in a drain; 5 s
	LameDuck       time.Duration // serving on before a drain; none
	WorkerTimeout  time.Duration // of a worker's silence; 30 s, at least 2 s
}

// Rollout says how a new generation takes over.
type Rollout struct {
	StartTimeout      time.Duration // from a worker's start until it is ready; 10 s
	Probation         time.Duration // how long a new generation must hold; 2 s
	MaxOldGenerations int           // that may be draining at once; 8
}

// Recycle says when a worker is replaced: after so many connections, so much
// time, or above so much resident memory. 0 is never.
type Recycle struct {
	Connections uint64
	Age         time.Duration
	RSS         uint64 // bytes
}

// Access says what Server.AccessLog records.
type Access struct {
	// Format is json, an object for each connection, or common, a line in the
	// common log format for each request, which is for programs that serve HTTP
	// through handlers.HTTPServer.
	Format string // "json"

	// Sample is the share that is recorded, above 0 and up to 1. What failed
	// always is: a connection whose outcome is not ok, a request that was
	// answered with 500 or more.
	Sample float64 // 1, everything
}
