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
	Target     string        `json:"target"` // "4", or "2-8" when dynamic
	Listeners  []ListenerRow `json:"listeners"`
	Totals     Totals        `json:"totals"`
	Workers    []WorkerRow   `json:"workers"`
	Slots      []SlotRow     `json:"slots"` // those that have had a worker
	Reloads    Reloads       `json:"reloads"`
	LastReload LastReload    `json:"last_reload"`

	// HandlerLatency is how long handlers took to answer, from the bytes that
	// they read to the end of their first write after them. ConnectionAge is
	// how long handled connections were in hand.
	HandlerLatency Histogram `json:"handler_latency"`
	ConnectionAge  Histogram `json:"connection_age"`

	// MasterLoopLagS is the longest that something has waited for the master's
	// owner loop in the last half a minute or more.
	MasterLoopLagS float64 `json:"master_loop_lag_s"`

	CPUS float64 `json:"cpu_s"` // processor time of the master and of all workers that ever lived

	Degraded string `json:"degraded,omitempty"` // why: the crash budget is spent, or a listener is broken
}

// ListenerRow is one listening socket.
type ListenerRow struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Queued  int    `json:"queued"` // connections that wait to be accepted; -1 if the kernel does not say
}

// Totals counts over all workers that ever lived.
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

// WorkerRow is one living worker.
type WorkerRow struct {
	Slot       int     `json:"slot"`
	PID        int     `json:"pid"`
	Generation int     `json:"generation"`
	State      string  `json:"state"` // starting, ready, busy, draining, exiting
	Active     int     `json:"active"`
	Accepted   uint64  `json:"accepted"`
	Handled    uint64  `json:"handled"`
	Failed     uint64  `json:"failed"`
	Answers    uint64  `json:"answers"` // that HandlerLatency counts
	AgeS       float64 `json:"age_s"`
	RSSBytes   uint64  `json:"rss_bytes"`
	HeapBytes  uint64  `json:"heap_bytes"`
	Goroutines int     `json:"goroutines"`
	LoopLagS   float64 `json:"loop_lag_s"`
	SilentS    float64 `json:"silent_s"` // since its last heartbeat
	CPUS       float64 `json:"cpu_s"`    // processor time, in steps of 10 ms
	BytesIn    uint64  `json:"bytes_in"`
	BytesOut   uint64  `json:"bytes_out"`

	// Doing names the answer that has been under way for the longest time:
	// the client's address, and what the handler says that it does; DoingS
	// says for how long. They are as old as the worker's last report, a second
	// at most, and empty if all was answered.
	Doing  string  `json:"doing,omitempty"`
	DoingS float64 `json:"doing_s,omitempty"`
}

// SlotRow counts over all workers that a slot ever had, so that its counters
// never go back.
type SlotRow struct {
	Slot     int     `json:"slot"`
	Accepted uint64  `json:"accepted"`
	Handled  uint64  `json:"handled"`
	Failed   uint64  `json:"failed"`
	Rejected uint64  `json:"rejected"`
	Answers  uint64  `json:"answers"` // that HandlerLatency counts
	BytesIn  uint64  `json:"bytes_in"`
	BytesOut uint64  `json:"bytes_out"`
	Workers  uint64  `json:"workers"` // that it has had
	CPUS     float64 `json:"cpu_s"`
}

// Histogram is a distribution of durations. Counts has one more element than
// BoundsS: what was longer than the last bound. Counts are of each bucket alone.
type Histogram struct {
	BoundsS []float64 `json:"bounds_s"`
	Counts  []uint64  `json:"counts"`
	SumS    float64   `json:"sum_s"`
}

// Reloads counts the reloads that have ended.
type Reloads struct {
	OK     uint64 `json:"ok"`
	Failed uint64 `json:"failed"`
}

// LastReload is the last one that ended; At is nil if there was none.
type LastReload struct {
	OK    bool       `json:"ok"`
	Error string     `json:"error"`
	At    *time.Time `json:"at"`
}

// Answer is what the control socket replies to a command.
type Answer struct {
	OK         bool   `json:"ok"`
	Error      string `json:"error,omitempty"`
	Generation int    `json:"generation"`
	Target     string `json:"target,omitempty"`
}
