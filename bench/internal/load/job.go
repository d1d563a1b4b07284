package load

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"prefork/internal/load"
)

// Kind is what one exchange is.
type Kind string

// The kinds.
const (
	Persistent Kind = "persistent" // a line and its reply, on a connection that stays
	Connect    Kind = "connect"    // connect, a line and its reply, close
)

// The bounds of a job.
const (
	minBytes  = 32 // there is room for the number that makes each line different
	maxBytes  = 4096
	maxWindow = 10 * time.Second
)

// patience is how long a client waits for any reply at all.
const patience = 5 * time.Second

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

	// Control is the path of the client in C, which does the job in place of the
	// one in Go; "": the one in Go.
	Control string `json:"-"`
}

// options are the job in the words of prefork's load generator.
func (j *Job) options() (load.Options, error) {
	o := load.Options{
		URL: "tcp://" + j.Address, Connections: j.Connections, Loops: 1, Timeout: patience,
		Template: true, Expect: "upper",
	}
	var errs []error
	switch j.Kind {
	case Persistent:
	case Connect:
		o.Mode = load.Churn
	default:
		errs = append(errs, fmt.Errorf("unknown kind %q", j.Kind))
	}
	if j.Bytes < minBytes || j.Bytes > maxBytes {
		errs = append(errs, fmt.Errorf("bytes is %d, want %d to %d", j.Bytes, minBytes, maxBytes))
	} else {
		const head, digits = "line-", 20
		o.Payload = []byte(head + "{n:20}-" + strings.Repeat("abcdefghijklmnopqrstuvwxyz", j.Bytes/26+1)[:j.Bytes-len(head)-digits-2] + "\n")
	}
	if j.Source != "" {
		o.Source = []string{j.Source}
	}
	if j.Window < 1 || j.Window > maxWindow {
		errs = append(errs, fmt.Errorf("window is %v, want up to %v", j.Window, maxWindow))
	}
	if j.Limit < 1 || j.Warmup < 0 {
		errs = append(errs, fmt.Errorf("limit is %d and warm-up %d", j.Limit, j.Warmup))
	}
	return o, errors.Join(append(errs, o.Validate()...)...)
}

// arguments are the job in the words of the client in C.
func (j *Job) arguments() []string {
	host, port, _ := strings.Cut(j.Address, ":")
	source := j.Source
	if source == "" {
		source = "0.0.0.0"
	}
	return []string{
		host, port, source, string(j.Kind), strconv.Itoa(j.Connections), strconv.Itoa(j.Bytes), strconv.Itoa(j.Warmup),
		strconv.FormatInt(int64(j.Window), 10), strconv.Itoa(j.Limit),
	}
}

// Report is what a load process measured in its window. All times are in
// nanoseconds.
type Report struct {
	Exchanges int           `json:"exchanges"` // each verified
	Elapsed   time.Duration `json:"elapsed"`   // from the first line sent to the last reply
	P50       time.Duration `json:"p50"`       // of one exchange; with Connect from before the connect to the reply
	P99       time.Duration `json:"p99"`
	CPU       time.Duration `json:"cpu"` // of the load process itself
}
