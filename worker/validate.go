package worker

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"prefork/worker/poll"
)

// The defaults of Config.
const (
	defaultMaxConnections = 10_000
	defaultWriteTimeout   = time.Minute
	defaultIdleTimeout    = 5 * time.Minute
	defaultPollInterval   = 500 * time.Millisecond
	defaultDrainTimeout   = 30 * time.Second
	defaultDrainIdle      = 5 * time.Second
)

// WithDefaults returns c with its zero values replaced by the defaults. In the
// modes Sequential and Forking MaxConnections becomes 1.
func (c Config) WithDefaults() Config {
	if c.Mode == "" {
		c.Mode = Threading
	}
	switch {
	case c.Mode == Sequential || c.Mode == Forking:
		c.MaxConnections = 1
	case c.MaxConnections == 0:
		c.MaxConnections = defaultMaxConnections
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = defaultWriteTimeout
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = defaultIdleTimeout
	}
	if c.PollInterval == 0 {
		c.PollInterval = defaultPollInterval
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = defaultDrainTimeout
	}
	if c.DrainIdle == 0 {
		c.DrainIdle = defaultDrainIdle
	}
	if c.AccessFormat == "" {
		c.AccessFormat = AccessJSON
	}
	if c.AccessSample == 0 {
		c.AccessSample = 1
	}
	if c.Poller == "" {
		c.Poller = poll.Epoll
	}
	return c
}

// minPollInterval keeps a loop from being nothing but ticks.
const minPollInterval = time.Millisecond

// Validate returns every problem of c, each beginning with the JSON name of
// its field. A zero value is no problem: it stands for the default.
func (c Config) Validate() []error {
	var problems []error
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf(format, args...))
	}
	if c.Mode != "" && !slices.Contains(Modes(), c.Mode) {
		report("mode: %q is none of %v", c.Mode, Modes())
	}
	if c.MaxConnections < 0 {
		report("max_connections: %d is negative", c.MaxConnections)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"timeout", c.Timeout},
		{"poll_interval", c.PollInterval},
		{"drain_timeout", c.DrainTimeout},
		{"drain_idle", c.DrainIdle},
	} {
		if d.value < 0 {
			report("%s: %v is negative", d.name, d.value)
		}
	}
	if c.PollInterval > 0 && c.PollInterval < minPollInterval {
		report("poll_interval: %v is below %v", c.PollInterval, minPollInterval)
	}
	if c.Poller != "" && !slices.Contains(poll.Names(), c.Poller) {
		report("poller: %q is none of %v", c.Poller, poll.Names())
	}
	if c.AccessFormat != "" && !slices.Contains(AccessFormats(), c.AccessFormat) {
		report("access_format: %q is none of %v", c.AccessFormat, AccessFormats())
	}
	if !(c.AccessSample >= 0 && c.AccessSample <= 1) { // NaN is neither
		report("access_sample: %v is not from 0 to 1", c.AccessSample)
	}
	return problems
}

// check says what is wrong with the program once Configure has run.
func (o *Options) check(cfg Config) error {
	set := 0
	for _, there := range []bool{o.Handler != nil, o.NewHandler != nil, o.Service != nil} {
		if there {
			set++
		}
	}
	if set != 1 {
		return fmt.Errorf("options: %d of Handler, NewHandler and Service are set, want exactly one", set)
	}
	if _, ok := o.Service.(AccessLogger); !ok && cfg.AccessLog && cfg.AccessFormat == AccessCommon {
		return errors.New("access_format: common is for programs that serve HTTP, through handlers.HTTPServer; json is for all")
	}
	h := &o.Hooks
	if o.Service != nil && (h.BaseContext != nil || h.ConnContext != nil || h.ProcessRequest != nil || h.HandleError != nil) {
		return errors.New("options: a Service accepts and serves for itself, so the hooks BaseContext, ConnContext, ProcessRequest and HandleError would never be called")
	}
	return nil
}
