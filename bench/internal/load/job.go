package load

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Kind is what one exchange is.
type Kind string

// The kinds.
const (
	Persistent Kind = "persistent" // a line and its reply, on a connection that stays
	Connect    Kind = "connect"    // connect, a line and its reply, close
)

// The bounds of a job: the longest line in bytes, and what a client may hold.
const (
	minBytes       = 24 // the digits that make each line another
	maxBytes       = 4096
	maxConnections = 1024
	maxExchanges   = 1 << 21
	maxWindow      = 10 * time.Second
)

// Job is what a load process does.
type Job struct {
	Address     string        `json:"address"`          // IPv4, host:port
	Source      string        `json:"source,omitempty"` // address to connect from; each has ports of its own
	Kind        Kind          `json:"kind"`
	Connections int           `json:"connections"` // exchanges in flight
	Bytes       int           `json:"bytes"`       // of a line, its line feed included
	Warmup      int           `json:"warmup"`      // exchanges before the window
	Window      time.Duration `json:"window"`      // no exchange begins after it
	Limit       int           `json:"limit"`       // no more exchanges than that
}

// endpoints checks the job and returns its parsed addresses; source is the
// zero value if none is asked for.
func (j *Job) endpoints() (to netip.AddrPort, source netip.Addr, err error) {
	var errs []error
	if to, err = netip.ParseAddrPort(j.Address); err != nil || !to.Addr().Is4() {
		errs = append(errs, fmt.Errorf("address %q is not IPv4 host:port", j.Address))
	}
	if j.Source != "" {
		if source, err = netip.ParseAddr(j.Source); err != nil || !source.Is4() {
			errs = append(errs, fmt.Errorf("source %q is not an IPv4 address", j.Source))
		}
	}
	if j.Kind != Persistent && j.Kind != Connect {
		errs = append(errs, fmt.Errorf("unknown kind %q", j.Kind))
	}
	for _, f := range []struct {
		name             string
		value, low, high int
	}{
		{"connections", j.Connections, 1, maxConnections},
		{"bytes", j.Bytes, minBytes, maxBytes},
		{"warmup", j.Warmup, 0, maxExchanges},
		{"window in ns", int(j.Window), 1, int(maxWindow)},
		{"limit", j.Limit, 1, maxExchanges},
	} {
		if f.value < f.low || f.value > f.high {
			errs = append(errs, fmt.Errorf("%s is %d, want %d to %d", f.name, f.value, f.low, f.high))
		}
	}
	return to, source, errors.Join(errs...)
}

// Report is what a load process measured in its window.
type Report struct {
	Exchanges int           `json:"exchanges"` // each verified
	Elapsed   time.Duration `json:"elapsed"`   // from the first line sent to the last reply
	P50       time.Duration `json:"p50"`       // of one exchange; with Connect from before the connect to the reply
	P99       time.Duration `json:"p99"`
	CPU       time.Duration `json:"cpu"` // of the load process itself
}
