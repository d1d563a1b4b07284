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
	LastReload LastReload    `json:"last_reload"`
	Degraded   string        `json:"degraded,omitempty"` // why, if the crash budget is spent
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
	AgeS       float64 `json:"age_s"`
	RSSBytes   uint64  `json:"rss_bytes"`
	HeapBytes  uint64  `json:"heap_bytes"`
	Goroutines int     `json:"goroutines"`
	LoopLagS   float64 `json:"loop_lag_s"`
	SilentS    float64 `json:"silent_s"` // since its last heartbeat
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
