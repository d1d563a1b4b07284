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
	Persistent Kind = "persistent" // a line and its reply, on a connection that stays; or HTTP's request and answer
	Connect    Kind = "connect"    // connect, a line and its reply, close
	Hold       Kind = "hold"       // each connection has one exchange, and is silent from then on
)

// The bounds of a job.
const (
	minBytes  = 32 // there is room for the number that makes each line different
	maxBytes  = 32 << 10
	maxWindow = 10 * time.Second
	maxHold   = 5 * time.Minute
)

// patience is how long a client waits for any reply at all.
const patience = 5 * time.Second

// Persistent connections are loaded before the window for warmupTime, and
// connectTime for each of them. They stay for the window, so what it costs to accept
// them is not in the figure.
const (
	warmupTime  = 100 * time.Millisecond
	connectTime = 150 * time.Microsecond
)

// Job is what a load process does.
type Job struct {
	Address     string        `json:"address"`          // IPv4, host:port
	Source      string        `json:"source,omitempty"` // address to connect from; each has ports of its own
	Kind        Kind          `json:"kind"`
	Connections int           `json:"connections"`        // exchanges in flight, without Pipeline
	Pipeline    int           `json:"pipeline,omitempty"` // lines in flight on each connection; 0: 1
	Bytes       int           `json:"bytes,omitempty"`    // of a line, its line feed included
	Path        string        `json:"path,omitempty"`     // GET this over HTTP, in place of lines
	Body        string        `json:"body,omitempty"`     // of HTTP's answer
	Rate        int           `json:"rate,omitempty"`     // requests a second; 0: as many as the server answers
	Warmup      int           `json:"warmup,omitempty"`   // exchanges of Connect before the window
	Window      time.Duration `json:"window"`             // no exchange begins after it
	Limit       int           `json:"limit"`              // no more exchanges than that

	// Control is the path of the client in C, which does the job in place of the
	// one in Go; "": the one in Go. It does not know Hold, Pipeline, Path and Rate.
	Control string `json:"-"`
}

// options are the job in the words of prefork's load generator.
func (j *Job) options() (load.Options, error) {
	o := load.Options{
		URL: "tcp://" + j.Address, Connections: j.Connections, Pipeline: j.Pipeline, Loops: 1, Timeout: patience,
		Duration: j.Window, Requests: uint64(max(j.Limit, 0)),
	}
	var errs []error
	add := func(failed bool, format string, args ...any) {
		if failed {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	switch j.Kind {
	case Persistent:
	case Connect:
		o.Mode = load.Churn
	case Hold:
		o.Pause = maxHold
	default:
		add(true, "unknown kind %q", j.Kind)
	}
	if j.Rate > 0 {
		o.Rate = strconv.Itoa(j.Rate)
	}
	if j.Path != "" {
		o.URL, o.Expect, o.Reply = "http://"+j.Address+j.Path, "status:200", j.Body
	} else {
		add(j.Bytes < minBytes || j.Bytes > maxBytes, "bytes is %d, want %d to %d", j.Bytes, minBytes, maxBytes)
		o.Payload, o.Template, o.Expect = line(min(max(j.Bytes, minBytes), maxBytes)), true, "upper"
	}
	if j.Source != "" {
		o.Source = []string{j.Source}
	}
	most := maxWindow
	if j.Kind == Hold {
		most = maxHold
	}
	add(j.Window < 1 || j.Window > most, "window is %v, want up to %v", j.Window, most)
	add(j.Limit < 1 || j.Warmup < 0, "limit is %d and warm-up %d", j.Limit, j.Warmup)
	return o, errors.Join(append(errs, o.Validate()...)...)
}

// line is the template of a line of so many bytes, each with another number.
func line(bytes int) []byte {
	const head, digits = "line-", 20
	fill := strings.Repeat("abcdefghijklmnopqrstuvwxyz", bytes/26+1)
	return []byte(head + "{n:20}-" + fill[:bytes-len(head)-digits-2] + "\n")
}

// arguments are the job in the words of the client in C.
func (j *Job) arguments() []string {
	host, port, _ := strings.Cut(j.Address, ":")
	source := j.Source
	if source == "" {
		source = "0.0.0.0"
	}
	warmup := j.Warmup
	if j.Kind == Persistent {
		warmup = max(warmup, 100*j.Connections)
	}
	return []string{
		host, port, source, string(j.Kind), strconv.Itoa(j.Connections), strconv.Itoa(j.Bytes), strconv.Itoa(warmup),
		strconv.FormatInt(int64(j.Window), 10), strconv.Itoa(j.Limit),
	}
}

// Report is what a load process measured in its window. All times are in
// nanoseconds.
type Report struct {
	Exchanges int           `json:"exchanges"`        // each verified
	Elapsed   time.Duration `json:"elapsed"`          // from the first line sent to the last reply
	P50       time.Duration `json:"p50"`              // of one exchange; with Connect from before the connect to the reply
	P99       time.Duration `json:"p99"`              // with Rate both count from when the request was due
	CPU       time.Duration `json:"cpu"`              // of the load process itself, its warm-up included
	Unsent    int           `json:"unsent,omitempty"` // requests of Rate that were due and found no free connection

	// Server is the CPU time of the server in the window of Persistent; 0 from the
	// client in C, and if the server is not a program of its own. For the other kinds it is read from outside, when the server has
	// come to rest: what follows the last reply belongs to the exchange.
	Server time.Duration `json:"server,omitempty"`
}
