package policy

import "time"

// Config is what the machine must know of a generation. Zero values stand for
// the defaults named beside the fields; WithDefaults fills them in.
type Config struct {
	// Workers is the size of the pool. With Max above Min the pool is dynamic:
	// it grows and shrinks so that between MinSpare and MaxSpare workers are
	// idle.
	Min, Max           int // 1, Min
	MinSpare, MaxSpare int // 1, MinSpare+2

	// OneShot workers (mode forking) serve one connection each: Min is ignored,
	// MinSpare ready workers are kept, and Max (DefaultMaxChildren) bounds the
	// processes.
	OneShot bool

	GOMAXPROCS int // of a worker; its share of the CPUs: see Procs

	// Slots bounds the living workers of all generations: the size of the
	// scoreboard. Fixed by the first configuration. The default has room for
	// one generation that serves, one that comes, all that may drain, and some
	// workers that are being replaced.
	Slots int // Max × (MaxOldGenerations + 2) + 16, at most 4096

	StartTimeout   time.Duration // Spawn to Ready; 10 s
	Probation      time.Duration // how long a new generation must hold; 2 s, negative: not at all
	LameDuck       time.Duration // serve on after Drain before draining; 0
	DrainTimeout   time.Duration // for a worker's connections; 30 s
	KillDelay      time.Duration // after StopWorker, and past a drain's deadline, until Kill; 2 s
	WorkerTimeout  time.Duration // without a heartbeat: hung; at least MinWorkerTimeout, 30 s, negative: never
	DumpDelay      time.Duration // after Dump until Kill, at the least; 1 s
	SampleInterval time.Duration // of Sampled, unless the server is Calm; 1 s

	// Recycle* replace a worker that has served or grown too much; the
	// replacement is ready before it leaves. 0 is never. Connections and age
	// are jittered by up to a tenth, so that workers do not leave together.
	RecycleConnections uint64
	RecycleAge         time.Duration
	RecycleRSS         uint64

	// A worker that dies within FastDeath of its Ready, or before it, delays
	// its replacement: BackoffBase doubled each time, up to BackoffCap, ±20 %.
	FastDeath   time.Duration // 1 s
	BackoffBase time.Duration // 100 ms
	BackoffCap  time.Duration // 5 s

	// CrashBudget is how many crashes are taken as they come; each counts for
	// half after CrashHalfLife. Past it every replacement waits BackoffCap.
	CrashBudget   float64       // 64
	CrashHalfLife time.Duration // 1 min

	// BootTries is how many workers may fail before the first generation is
	// given up.
	BootTries int // 3

	// MaxOldGenerations bounds those that still drain; the oldest is stopped
	// when another would pass it.
	MaxOldGenerations int // 8

	Seed uint64 // of the jitter; fixed by the first configuration
}

// DefaultMaxChildren bounds the processes of mode forking, as max_children does
// in socketserver.ForkingMixIn.
const DefaultMaxChildren = 40

// MinWorkerTimeout is the least WorkerTimeout. A healthy worker that is idle
// beats every 500 ms, and a sample is taken every second: a shorter silence
// proves nothing.
const MinWorkerTimeout = 2 * time.Second
