package prefork

import (
	"encoding/json"
	"time"

	"prefork/worker"
)

// Config is what a reload can replace: all of a Server that is neither its
// program nor fixed while the master runs. The fields and their groups are the
// keys and tables of the daemon's file; docs/configuration.md says more about
// each.
//
// 0 is the default everywhere; WithDefaults shows it. Where a duration can be
// none or never, worker.Disabled is.
type Config struct {
	// Listen holds the addresses to serve: tcp://host:port or host:port (both
	// families if host is empty or [::]), tcp4://, tcp6://, unix:///path and
	// systemd:NAME. A unix address takes ?mode=0660&owner=user&group=group.
	// Without any, every socket that systemd passed is served, or else
	// DefaultListen.
	Listen []string `value:"ADDRESS" help:"where to serve: tcp://host:port, host:port, tcp4://, tcp6://, unix:///path, systemd:NAME; repeatable"`

	Mode worker.Mode `value:"MODE" choices:"sequential,threading,forking,event" help:"how a worker runs its connections: sequential, threading, forking or event"`

	// Spawn is how mode forking starts its workers: SpawnExec, the default in the library,
	// executes the program once more for each, and SpawnFork forks a process that has run
	// main and the set-up before. See Spawn.
	Spawn Spawn `value:"HOW" choices:"auto,fork,exec" help:"how mode forking starts its processes: fork copies one that is ready, exec starts the program again, auto forks for the built-in handlers"`

	// Workers is how many workers there are, or the fewest if MaxWorkers is
	// larger. 0 is one a CPU, MaxWorkers at most.
	Workers    int `value:"N|auto|MIN-MAX" max:"1024" help:"how many workers; auto is one per CPU, MIN-MAX follows the load"`
	MaxWorkers int `max:"1024"`

	LogLevel         string `value:"LEVEL" choices:"debug,info,warn,error" help:"the lowest level that is logged: debug, info, warn or error"`
	RequestQueueSize int    `min:"1" max:"1048576" help:"the listen backlog of each socket; the kernel caps it at somaxconn"`
	NoReuseAddress   bool   `key:"reuse_address" not:"yes" help:"bind although old connections of the port are in TIME_WAIT"`

	Poller       string        `value:"NAME" choices:"epoll,poll,select" help:"the multiplexer of a worker's loop: epoll, poll or select"`
	PollInterval time.Duration `min:"1ms" max:"10s" help:"how often a worker's loop wakes when no connection comes; every 500ms at least"`

	Limits   Limits   `table:"limits"`
	Timeouts Timeouts `table:"timeouts"`
	Rollout  Rollout  `table:"reload"`
	Recycle  Recycle  `table:"recycle"`
	Access   Access   `table:"access"`

	// Settings is handed to Server.Configure in each worker.
	Settings json.RawMessage

	// Timeout is how long a worker, or HandleRequest, waits for a connection
	// before it calls HandleTimeout.
	Timeout time.Duration `never:"0s"`
}

// Spawn is how mode forking starts its workers; the other modes ignore it.
//
// With SpawnFork a zygote runs main up to Run, Configure and the start hooks once for
// each generation, and each worker is a copy of it. A copy starts several times faster
// than a program, and shares the memory of what was prepared until one of them writes
// to it. The zygote first proves that its runtime can be copied. If it cannot (the
// program links cgo, or has started a goroutine before Run), or if the zygote is at
// fault, the workers are executed as with SpawnExec; the log and the status say so.
//
// A forked worker has limits that an executed one has not:
//
//   - It runs one goroutine at a time, and a goroutine that computes is not preempted:
//     until it ends or waits, no timeout of its connection works.
//   - A system call that blocks stops all goroutines: reading a slow disk, waiting for a
//     program with os/exec, C code. The network does not block. A process that stands
//     still for longer than worker_timeout is killed.
//   - WorkerStart and WorkerStop are called in the zygote only. WorkerStop does not wait
//     for the copies, so it must not destroy what they share, such as files.
//   - All copies begin with the same state of math/rand and of map hashing; what the
//     handler uses must be seeded anew. crypto/rand is not affected.
//   - All copies have the same addresses in memory. Where that matters more than speed,
//     use SpawnExec.
//   - syscall.Setuid and others that must run on all threads do not return.
type Spawn string

// The values of Config.Spawn.
const (
	SpawnAuto Spawn = "auto" // SpawnExec, and SpawnFork in the daemon for handlers that keep the rules
	SpawnFork Spawn = "fork"
	SpawnExec Spawn = "exec"
)

// Limits bounds what one generation takes.
type Limits struct {
	MaxConnections int     `min:"1" max:"16777216" help:"open connections per worker; further ones wait in the queue"`
	MaxChildren    int     `min:"1" max:"1024" help:"most processes at once in mode forking"`
	MinSpare       int     `max:"1024" help:"idle workers to keep ready; 0 is 1, in mode forking the number of workers or four per CPU"`
	MaxSpare       int     `max:"1024" help:"most idle workers to keep; 0 is min_spare plus two"`
	GOMAXPROCS     int     `max:"1024" help:"threads that run Go code at once in a worker; 0 is its share of the CPUs, in mode forking 1"`
	MaxMessage     uint64  `value:"SIZE" min:"1KiB" max:"64MiB" help:"in mode event: bytes of one connection that wait for the rest of a message"`
	MaxUnsent      uint64  `value:"SIZE" min:"64KiB" max:"1GiB" help:"in mode event: bytes of answers that one client has not read; with more it is closed"`
	CrashBudget    float64 `min:"1" max:"1000000" help:"crashes before replacements are slowed down; each counts half after a minute"`
}

// Timeouts bounds connections, drains and silent workers. The default of
// IdleTimeout is none for a Service, which has its own.
type Timeouts struct {
	ReadTimeout      time.Duration `never:"0s" help:"limit for one read by a handler; 0s is no limit"`
	WriteTimeout     time.Duration `never:"0s" help:"close a connection whose client accepts no data for this long; 0s is never"`
	IdleTimeout      time.Duration `never:"0s" help:"close a connection that is silent for this long; 0s is never"`
	HandlerTimeout   time.Duration `never:"0s" help:"limit for a whole connection; 0s is no limit"`
	HandshakeTimeout time.Duration `never:"0s" help:"in mode event: limit for a client's first message; 0s is no limit"`
	DrainTimeout     time.Duration `min:"1ms" help:"how long connections may take to finish in a drain"`
	DrainIdle        time.Duration `min:"1ms" help:"in a drain, close a connection that is silent for this long"`
	LameDuck         time.Duration `never:"0s" help:"keep serving for this long after a drain was requested, so that load balancers notice"`
	WorkerTimeout    time.Duration `never:"0s" min:"2s" help:"kill a worker whose loop is silent for this long, at least 2s; 0s is never"`
}

// Rollout says how a new generation takes over.
type Rollout struct {
	StartTimeout      time.Duration `min:"1ms" help:"how long a worker may take to become ready"`
	Probation         time.Duration `never:"0s" min:"1ms" help:"how long a new generation must run before the old one is drained; 0s is no probation"`
	MaxOldGenerations int           `min:"1" max:"64" help:"how many old generations may be draining at once"`
}

// Recycle says when a worker is replaced.
type Recycle struct {
	Connections uint64        `key:"recycle_connections" help:"replace a worker after this many connections; 0 is never"`
	Age         time.Duration `key:"recycle_age" never:"0s" help:"replace a worker at this age; 0s is never"`
	RSS         uint64        `key:"recycle_rss" value:"SIZE" help:"replace a worker above this much resident memory; 0B is never"`
}

// Access says what Server.AccessLog records. In format json that is an object
// for each connection; in common, which is for programs that serve HTTP through
// handlers.HTTPServer, a line for each request.
type Access struct {
	Format string  `key:"access_format" value:"FORMAT" choices:"json,common" help:"json, or common: one line per request of the handler http"`
	Sample float64 `key:"access_sample" value:"SHARE" max:"1" help:"the share that is recorded, above 0 and up to 1; failures always are"`
}
