package worker

import (
	"cmp"
	"encoding/json"
	"time"

	"prefork/worker/poll"
)

// Mode is how a worker runs its connections.
type Mode string

// The modes.
const (
	Sequential Mode = "sequential" // one connection at a time
	Threading  Mode = "threading"  // a goroutine per connection
	Forking    Mode = "forking"    // a fresh process per connection
	Event      Mode = "event"      // an EventHandler, called by the worker's loop
)

// Disabled is no limit or never, as a duration of a Config. 0 is the default.
const Disabled = -1

// Config is what a worker must know that its own program does not tell it. It
// travels as JSON in the master's Hello. Durations are nanoseconds there.
// The zero value works: the defaults stand beside the fields.
type Config struct {
	Mode Mode `json:"mode,omitempty"` // Threading

	// MaxConnections bounds the connections in hand at once; the rest wait in
	// the listener's queue for this worker or another. Sequential and Forking
	// are 1 by nature.
	MaxConnections int `json:"max_connections,omitempty"` // 10,000

	// ReadTimeout bounds one Read call that a handler makes, WriteTimeout how
	// long the client may take nothing of what is written to it, IdleTimeout how
	// long a connection may be silent in both directions while it is read, and
	// HandlerTimeout the whole connection. A negative value is no limit.
	ReadTimeout    time.Duration `json:"read_timeout,omitempty"`    // none
	WriteTimeout   time.Duration `json:"write_timeout,omitempty"`   // 1 min
	IdleTimeout    time.Duration `json:"idle_timeout,omitempty"`    // 5 min; none for a Service, which keeps its own
	HandlerTimeout time.Duration `json:"handler_timeout,omitempty"` // none

	// HandshakeTimeout is how long a client may take in mode Event until the handler
	// has consumed its first byte.
	HandshakeTimeout time.Duration `json:"handshake_timeout,omitempty"` // none

	// MaxMessage bounds the bytes of a connection that an EventHandler leaves
	// unconsumed, MaxUnsent those that its client has not taken.
	MaxMessage int `json:"max_message,omitempty"` // 64 KiB
	MaxUnsent  int `json:"max_unsent,omitempty"`  // 1 MiB

	// Timeout is how long the worker waits for a connection before it calls
	// HandleTimeout, again and again. 0 is never.
	Timeout time.Duration `json:"timeout,omitempty"`

	// PollInterval is how often the loop wakes without a connection: for
	// service actions, timeouts and the heartbeat. serve_forever's
	// poll_interval.
	PollInterval time.Duration `json:"poll_interval,omitempty"` // 500 ms

	// DrainTimeout bounds the drain that a worker begins by itself, when the
	// master is gone or on SIGTERM.
	DrainTimeout time.Duration `json:"drain_timeout,omitempty"` // 30 s

	// DrainIdle is how long a connection must have been idle during a drain
	// before its handler reads EOF. Until then it is served as ever.
	DrainIdle time.Duration `json:"drain_idle,omitempty"` // 5 s

	// Poller names the multiplexer: "epoll", "poll" or "select".
	Poller string `json:"poller,omitempty"` // epoll

	// AccessLog says that there is an access log; the master sends its file.
	// AccessSample is the share of it that is written, of what went well: 0.1 is
	// one in ten. What failed always is.
	AccessLog    bool    `json:"access_log,omitempty"`
	AccessFormat string  `json:"access_format,omitempty"` // AccessJSON
	AccessSample float64 `json:"access_sample,omitempty"` // 1, everything

	// Settings is the program's own: Options.Configure reads it.
	Settings json.RawMessage `json:"settings,omitempty"`
}

// The defaults of Config.
const (
	defaultMaxConnections = 10_000
	defaultWriteTimeout   = time.Minute
	defaultIdleTimeout    = 5 * time.Minute
	defaultPollInterval   = 500 * time.Millisecond
	defaultDrainTimeout   = 30 * time.Second
	defaultDrainIdle      = 5 * time.Second
	defaultMaxMessage     = 64 << 10
	defaultMaxUnsent      = 1 << 20
)

// WithDefaults returns c with its zero values replaced by the defaults. In the
// modes Sequential and Forking MaxConnections becomes 1.
func (c Config) WithDefaults() Config {
	c.Mode = cmp.Or(c.Mode, Threading)
	switch {
	case c.Mode == Sequential || c.Mode == Forking:
		c.MaxConnections = 1
	case c.MaxConnections == 0:
		c.MaxConnections = defaultMaxConnections
	}
	c.WriteTimeout = cmp.Or(c.WriteTimeout, defaultWriteTimeout)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, defaultIdleTimeout)
	c.PollInterval = cmp.Or(c.PollInterval, defaultPollInterval)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, defaultDrainTimeout)
	c.DrainIdle = cmp.Or(c.DrainIdle, defaultDrainIdle)
	c.MaxMessage = cmp.Or(c.MaxMessage, defaultMaxMessage)
	c.MaxUnsent = cmp.Or(c.MaxUnsent, defaultMaxUnsent)
	c.AccessFormat = cmp.Or(c.AccessFormat, AccessJSON)
	c.AccessSample = cmp.Or(c.AccessSample, 1)
	c.Poller = cmp.Or(c.Poller, poll.Epoll)
	return c
}
