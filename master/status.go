package master

import "time"

// Status is the answer of GET /v1/status. Its field names are a contract.
type Status struct {
	PID        int           `json:"pid"`
	Version    string        `json:"version"`
	State      string        `json:"state"` // a policy.State: booting, running, reloading, probation, draining, killing, stopped
	Generation int           `json:"generation"`
	UptimeS    float64       `json:"uptime_s"`
	Mode       string        `json:"mode"`
	Target     string        `json:"target"` // "4", or "2-8" if the pool is dynamic
	Listeners  []ListenerRow `json:"listeners"`
	Totals     Totals        `json:"totals"`
	Workers    []WorkerRow   `json:"workers"`
	Slots      []SlotRow     `json:"slots"` // that have had a worker
	Reloads    Reloads       `json:"reloads"`
	LastReload LastReload    `json:"last_reload"`

	// HandlerLatency is the time that handlers took to answer, from the bytes
	// that they read to the end of their first write after them. ConnectionAge
	// is how long handled connections were open.
	HandlerLatency Histogram `json:"handler_latency"`
	ConnectionAge  Histogram `json:"connection_age"`

	// MasterLoopLagS is the longest that one event has kept the master's owner
	// loop in the last 30 seconds or more.
	MasterLoopLagS float64 `json:"master_loop_lag_s"`

	CPUS float64 `json:"cpu_s"` // processor time of the master, of all workers and of zygotes so far

	// Spawn is how the generation that serves gets its workers in mode forking: fork or
	// exec. SpawnReason is why they are executed although they should be forked.
	Spawn       string      `json:"spawn,omitempty"`
	SpawnReason string      `json:"spawn_reason,omitempty"`
	Forks       Forks       `json:"forks"`
	Zygotes     []ZygoteRow `json:"zygotes,omitempty"`

	Degraded string `json:"degraded,omitempty"` // why: the crash budget is used up, or a listener is broken
}

// ListenerRow is one listening socket.
type ListenerRow struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Queued  int    `json:"queued"` // connections that wait to be accepted; -1 if unknown
}

// Totals are the sums over all workers so far.
type Totals struct {
	Accepted uint64 `json:"accepted"`
	Active   int    `json:"active"`
	Handled  uint64 `json:"handled"`
	Failed   uint64 `json:"failed"`
	Rejected uint64 `json:"rejected"`
	BytesIn  uint64 `json:"bytes_in"`
	BytesOut uint64 `json:"bytes_out"`
	Restarts uint64 `json:"restarts"` // unexpected exits
}

// WorkerRow is a living worker.
type WorkerRow struct {
	Slot       int     `json:"slot"`
	PID        int     `json:"pid"`
	Generation int     `json:"generation"`
	State      string  `json:"state"`            // starting, ready, busy, draining, exiting
	Forked     bool    `json:"forked,omitempty"` // by a zygote
	Active     int     `json:"active"`
	Accepted   uint64  `json:"accepted"`
	Handled    uint64  `json:"handled"`
	Failed     uint64  `json:"failed"`
	Answers    uint64  `json:"answers"` // that HandlerLatency counts
	AgeS       float64 `json:"age_s"`
	RSSBytes   uint64  `json:"rss_bytes"` // at the last sample, as is CPUS
	HeapBytes  uint64  `json:"heap_bytes"`
	Goroutines int     `json:"goroutines"`
	GOMAXPROCS int     `json:"gomaxprocs"`
	LoopLagS   float64 `json:"loop_lag_s"`
	SilentS    float64 `json:"silent_s"` // since its last heartbeat
	CPUS       float64 `json:"cpu_s"`    // processor time, in steps of 10 ms
	BytesIn    uint64  `json:"bytes_in"`
	BytesOut   uint64  `json:"bytes_out"`

	// Doing describes the oldest unanswered request, with the client's address
	// and what the handler has said, and DoingS is its age. They are empty if
	// there was none when the worker last reported, about a second ago at most.
	Doing  string  `json:"doing,omitempty"`
	DoingS float64 `json:"doing_s,omitempty"`
}

// Forks counts what zygotes have forked so far.
type Forks struct {
	Forked    uint64 `json:"forked"`    // workers
	Stillborn uint64 `json:"stillborn"` // copies that were given up and made again
	Hung      uint64 `json:"hung"`      // workers that were killed because they stood still
}

// ZygoteRow is a process that forks the workers of a generation.
type ZygoteRow struct {
	PID        int     `json:"pid"`
	Generation int     `json:"generation"`
	State      string  `json:"state"`   // starting, ready, exiting
	Waiting    int     `json:"waiting"` // workers that it has not forked yet
	AgeS       float64 `json:"age_s"`
	RSSBytes   uint64  `json:"rss_bytes"` // at the last sample, as is CPUS
	CPUS       float64 `json:"cpu_s"`
}

// SlotRow has sums over all workers of a slot so far, which never go back.
type SlotRow struct {
	Slot     int     `json:"slot"`
	Accepted uint64  `json:"accepted"`
	Handled  uint64  `json:"handled"`
	Failed   uint64  `json:"failed"`
	Rejected uint64  `json:"rejected"`
	Answers  uint64  `json:"answers"` // that HandlerLatency counts
	BytesIn  uint64  `json:"bytes_in"`
	BytesOut uint64  `json:"bytes_out"`
	Workers  uint64  `json:"workers"` // so far
	CPUS     float64 `json:"cpu_s"`
}

// Histogram is a distribution of durations. Counts are of each bucket alone,
// and have one element more than BoundsS, for longer durations.
type Histogram struct {
	BoundsS []float64 `json:"bounds_s"`
	Counts  []uint64  `json:"counts"`
	SumS    float64   `json:"sum_s"`
}

// Reloads counts the reloads that ended.
type Reloads struct {
	OK     uint64 `json:"ok"`
	Failed uint64 `json:"failed"`
}

// LastReload is the last reload that ended; At is nil if there was none.
type LastReload struct {
	OK    bool       `json:"ok"`
	Error string     `json:"error"`
	At    *time.Time `json:"at"`
}

// Answer is the control socket's answer to a command.
type Answer struct {
	OK         bool   `json:"ok"`
	Error      string `json:"error,omitempty"`
	Generation int    `json:"generation"`
	Target     string `json:"target,omitempty"`
}
