package config

import (
	"strings"
	"time"
)

// Key describes one setting.
type Key struct {
	Name    string // in the file; the flag has dashes for the underscores
	Table   string // in which the example file shows it; "" is the top
	Value   string // placeholder of the value in help texts
	Default string // as the file would say it
	Help    string // one line
	Fixed   bool   // a reload cannot change it

	field  func(*Config) any // pointer to the field
	choice []string          // the valid words, if there are only some
	min    int64             // the least number, or nanoseconds
	max    int64             // the greatest number; 0 is no bound
}

// OptionsTable is the table that holds the handler's options.
const OptionsTable = "options"

// Flag returns the name of the key's flag, without the leading dashes.
func (k Key) Flag() string { return strings.ReplaceAll(k.Name, "_", "-") }

// Choices returns the valid values if there are only some, else nil.
func (k Key) Choices() []string { return k.choice }

// Keys returns all settings, in the order of the example file. The handler's
// options are not among them: they are the handler's to describe.
func Keys() []Key {
	keys := make([]Key, 0, len(serviceKeys)+len(limitKeys)+len(timeoutKeys)+len(reloadKeys)+len(recycleKeys)+len(accessKeys))
	for _, group := range []struct {
		table string
		keys  []Key
	}{
		{"", serviceKeys}, {"limits", limitKeys}, {"timeouts", timeoutKeys},
		{"reload", reloadKeys}, {"recycle", recycleKeys}, {"access", accessKeys},
	} {
		for _, k := range group.keys {
			k.Table = group.table
			keys = append(keys, k)
		}
	}
	return keys
}

// Tables returns the names of the tables that a file may have.
func Tables() []string {
	return []string{"limits", "timeouts", "reload", "recycle", "access", OptionsTable}
}

var serviceKeys = []Key{
	{
		Name: "listen", Value: "ADDRESS", Default: `["tcp://127.0.0.1:9999"]`,
		Help:  "where to serve: tcp://host:port, host:port, tcp4://, tcp6://, unix:///path, systemd:NAME; repeatable",
		field: func(c *Config) any { return &c.Listen },
	},
	{
		Name: "handler", Value: "NAME", Default: `"upper"`,
		Help:  "the program that serves a connection",
		field: func(c *Config) any { return &c.Handler },
	},
	{
		Name: "mode", Value: "MODE", Default: `"threading"`,
		Help:   "how a worker runs its connections: sequential, threading or forking",
		choice: []string{"sequential", "threading", "forking"},
		field:  func(c *Config) any { return &c.Mode },
	},
	{
		Name: "workers", Value: "N|auto|MIN-MAX", Default: `"auto"`,
		Help:  "how many workers; auto is one per CPU, MIN-MAX follows the load",
		field: func(c *Config) any { return &c.Workers },
	},
	{
		Name: "control", Value: "PATH", Default: `""`, Fixed: true,
		Help:  "the control socket; empty: prefork chooses the path; none: no socket",
		field: func(c *Config) any { return &c.Control },
	},
	{
		Name: "pid_file", Value: "PATH", Default: `""`, Fixed: true,
		Help:  "a file with the master's PID, locked; empty: no file",
		field: func(c *Config) any { return &c.PIDFile },
	},
	{
		Name: "log_file", Value: "PATH", Default: `""`, Fixed: true,
		Help:  "log here instead of standard error; reopened on USR1",
		field: func(c *Config) any { return &c.LogFile },
	},
	{
		Name: "log_format", Value: "FORMAT", Default: `"auto"`, Fixed: true,
		Help:   "auto, console or json; auto is console on a terminal",
		choice: []string{"auto", "console", "json"},
		field:  func(c *Config) any { return &c.LogFormat },
	},
	{
		Name: "log_level", Value: "LEVEL", Default: `"info"`,
		Help:   "the lowest level that is logged: debug, info, warn or error",
		choice: []string{"debug", "info", "warn", "error"},
		field:  func(c *Config) any { return &c.LogLevel },
	},
	{
		Name: "metrics", Value: "ADDRESS", Default: `""`, Fixed: true,
		Help:  "serve /metrics for Prometheus here: host:port, tcp://host:port or unix:///path; empty: not served",
		field: func(c *Config) any { return &c.Metrics },
	},
	{
		Name: "status_page", Value: "BOOL", Default: "false", Fixed: true,
		Help:  "serve a live status page at / of the metrics address, without authentication",
		field: func(c *Config) any { return &c.StatusPage },
	},
	{
		Name: "request_queue_size", Value: "N", Default: "4096", min: 1, max: 1 << 20,
		Help:  "the listen backlog of each socket; the kernel caps it at somaxconn",
		field: func(c *Config) any { return &c.RequestQueueSize },
	},
	{
		Name: "reuse_address", Value: "BOOL", Default: "true",
		Help:  "bind although old connections of the port are in TIME_WAIT",
		field: func(c *Config) any { return &c.ReuseAddress },
	},
	{
		Name: "poller", Value: "NAME", Default: `"epoll"`,
		Help:   "the multiplexer of a worker's loop: epoll, poll or select",
		choice: []string{"epoll", "poll", "select"},
		field:  func(c *Config) any { return &c.Poller },
	},
	{
		Name: "poll_interval", Value: "DURATION", Default: `"500ms"`,
		min: int64(time.Millisecond), max: int64(10 * time.Second),
		Help:  "how often a worker's loop wakes when no connection comes; every 500ms at least",
		field: func(c *Config) any { return &c.PollInterval },
	},
}

var limitKeys = []Key{
	{
		Name: "max_connections", Value: "N", Default: "10000", min: 1, max: 1 << 24,
		Help:  "open connections per worker; further ones wait in the queue",
		field: func(c *Config) any { return &c.MaxConnections },
	},
	{
		Name: "max_children", Value: "N", Default: "40", min: 1, max: maxWorkers,
		Help:  "most processes at once in mode forking",
		field: func(c *Config) any { return &c.MaxChildren },
	},
	{
		Name: "min_spare", Value: "N", Default: "0", max: maxWorkers,
		Help:  "idle workers to keep ready; 0 is 1, in mode forking the number of workers or four per CPU",
		field: func(c *Config) any { return &c.MinSpare },
	},
	{
		Name: "max_spare", Value: "N", Default: "0", max: maxWorkers,
		Help:  "most idle workers to keep; 0 is min_spare plus two",
		field: func(c *Config) any { return &c.MaxSpare },
	},
	{
		Name: "crash_budget", Value: "N", Default: "64.0", min: 1,
		Help:  "crashes before replacements are slowed down; each counts half after a minute",
		field: func(c *Config) any { return &c.CrashBudget },
	},
}

var timeoutKeys = []Key{
	{
		Name: "read_timeout", Value: "DURATION", Default: `"0s"`,
		Help:  "limit for one read by a handler; 0s is no limit",
		field: func(c *Config) any { return &c.ReadTimeout },
	},
	{
		Name: "write_timeout", Value: "DURATION", Default: `"1m"`,
		Help:  "close a connection whose client accepts no data for this long; 0s is never",
		field: func(c *Config) any { return &c.WriteTimeout },
	},
	{
		Name: "idle_timeout", Value: "DURATION", Default: `"5m"`,
		Help:  "close a connection that is silent for this long; 0s is never",
		field: func(c *Config) any { return &c.IdleTimeout },
	},
	{
		Name: "handler_timeout", Value: "DURATION", Default: `"0s"`,
		Help:  "limit for a whole connection; 0s is no limit",
		field: func(c *Config) any { return &c.HandlerTimeout },
	},
	{
		Name: "drain_timeout", Value: "DURATION", Default: `"30s"`, min: int64(time.Millisecond),
		Help:  "how long connections may take to finish in a drain",
		field: func(c *Config) any { return &c.DrainTimeout },
	},
	{
		Name: "drain_idle", Value: "DURATION", Default: `"5s"`, min: int64(time.Millisecond),
		Help:  "in a drain, close a connection that is silent for this long",
		field: func(c *Config) any { return &c.DrainIdle },
	},
	{
		Name: "lame_duck", Value: "DURATION", Default: `"0s"`,
		Help:  "keep serving for this long after a drain was requested, so that load balancers notice",
		field: func(c *Config) any { return &c.LameDuck },
	},
	{
		Name: "worker_timeout", Value: "DURATION", Default: `"30s"`,
		Help:  "kill a worker whose loop is silent for this long, at least 2s; 0s is never",
		field: func(c *Config) any { return &c.WorkerTimeout },
	},
}

var reloadKeys = []Key{
	{
		Name: "start_timeout", Value: "DURATION", Default: `"10s"`, min: int64(time.Millisecond),
		Help:  "how long a worker may take to become ready",
		field: func(c *Config) any { return &c.StartTimeout },
	},
	{
		Name: "probation", Value: "DURATION", Default: `"2s"`, min: int64(time.Millisecond),
		Help:  "how long a new generation must run before the old one is drained",
		field: func(c *Config) any { return &c.Probation },
	},
	{
		Name: "max_old_generations", Value: "N", Default: "8", min: 1, max: 64,
		Help:  "how many old generations may be draining at once",
		field: func(c *Config) any { return &c.MaxOldGenerations },
	},
}

var recycleKeys = []Key{
	{
		Name: "recycle_connections", Value: "N", Default: "0",
		Help:  "replace a worker after this many connections; 0 is never",
		field: func(c *Config) any { return &c.RecycleConnections },
	},
	{
		Name: "recycle_age", Value: "DURATION", Default: `"0s"`,
		Help:  "replace a worker at this age; 0s is never",
		field: func(c *Config) any { return &c.RecycleAge },
	},
	{
		Name: "recycle_rss", Value: "SIZE", Default: `"0B"`,
		Help:  "replace a worker above this much resident memory; 0B is never",
		field: func(c *Config) any { return &c.RecycleRSS },
	},
}

var accessKeys = []Key{
	{
		Name: "access_log", Value: "PATH", Default: `""`, Fixed: true,
		Help:  "a file with one record per connection; - is standard output; empty: none",
		field: func(c *Config) any { return &c.AccessLog },
	},
	{
		Name: "access_format", Value: "FORMAT", Default: `"json"`,
		Help:   "json, or common: one line per request of the handler http",
		choice: []string{"json", "common"},
		field:  func(c *Config) any { return &c.AccessFormat },
	},
	{
		Name: "access_sample", Value: "SHARE", Default: "1.0", max: 1,
		Help:  "the share that is recorded, above 0 and up to 1; failures always are",
		field: func(c *Config) any { return &c.AccessSample },
	},
}

// maxWorkers bounds what a file may ask for. All generations share a
// scoreboard of 4096 slots, and a reload needs room for twice the pool.
const maxWorkers = 1024
