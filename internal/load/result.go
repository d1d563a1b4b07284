package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// ResultVersion is the version of the JSON that a Result becomes. It grows when
// a field changes its meaning or goes, not when one is added.
const ResultVersion = 1

// Class is what became of an exchange that did not end with a right answer.
type Class string

// The classes of errors. No exchange is counted in two.
const (
	Refused     Class = "refused"            // nothing listens
	Reset       Class = "reset"              // RST in place of an answer
	EOF         Class = "eof_before_reply"   // the server closed and sent nothing
	Short       Class = "short"              // it closed in the middle of the answer
	Timeout     Class = "timeout"            // no whole answer in time
	Wrong       Class = "wrong"              // a whole answer, but not the expected one
	HTTPStatus  Class = "http_status"        // another status than the expected one
	OutOfPorts  Class = "out_of_ports"       // EADDRNOTAVAIL: the client's own limit
	OutOfFiles  Class = "out_of_descriptors" // EMFILE or ENFILE: the client's own limit
	OtherFailed Class = "other"              // what else the kernel said
)

// Classes lists all classes, in the order in which reports show them.
func Classes() []Class {
	return []Class{Refused, Reset, EOF, Short, Timeout, Wrong, HTTPStatus, OutOfPorts, OutOfFiles, OtherFailed}
}

// Result is what a run measured, without its warm-up. Its field names are a
// contract: --json prints it, and compare reads it.
type Result struct {
	Version  int       `json:"version"` // ResultVersion
	Target   string    `json:"target"`  // the URL
	Started  time.Time `json:"started"` // of the window, after the warm-up
	Plan     Plan      `json:"plan"`
	ElapsedS float64   `json:"elapsed_s"`

	Requests    uint64           `json:"requests"` // answered as expected
	RequestsPS  float64          `json:"requests_per_s"`
	Errors      map[Class]uint64 `json:"errors"`      // only classes that occurred
	Connections uint64           `json:"connections"` // that were established, in the warm-up too
	Standing    int              `json:"standing"`    // connections when the window ended
	BytesIn     uint64           `json:"bytes_in"`
	BytesOut    uint64           `json:"bytes_out"`

	// Corrected counts each answer from the moment it should have been asked
	// for; Uncorrected from the moment it was. Correction says how the former
	// was made: "intended send time" for a rate, "expected interval 1.2ms" for a closed loop.
	Corrected   Latency `json:"corrected"`
	Uncorrected Latency `json:"uncorrected"`
	Correction  string  `json:"correction"`

	Series    []Second    `json:"series"` // one a second of the window
	Marks     []Mark      `json:"marks"`  // what happened to the target meanwhile; needs its control socket
	Server    *ServerCost `json:"server,omitempty"`
	Generator Generator   `json:"generator"`
	Examples  []string    `json:"examples,omitempty"` // the first failures of each class, in words
}

// Failed returns the number of exchanges that ended in an error.
func (r *Result) Failed() uint64 {
	var n uint64
	for _, count := range r.Errors {
		n += count
	}
	return n
}

// Plan is what was asked for, in the words of the flags.
type Plan struct {
	Mode        string  `json:"mode"` // exchange, churn or idle
	Connections int     `json:"connections"`
	Pipeline    int     `json:"pipeline"`
	Rate        string  `json:"rate,omitempty"` // empty: a closed loop
	DurationS   float64 `json:"duration_s,omitempty"`
	Limit       uint64  `json:"limit,omitempty"` // requests
	WarmupS     float64 `json:"warmup_s"`
	TimeoutS    float64 `json:"timeout_s"`
	Loops       int     `json:"loops"`
	Payload     string  `json:"payload"` // as it was described, cut
	Expect      string  `json:"expect"`
}

// Latency is a distribution. The quantiles are read off Histogram, which holds
// nanoseconds with three significant digits.
type Latency struct {
	Count uint64  `json:"count"`
	MinS  float64 `json:"min_s"`
	MeanS float64 `json:"mean_s"`
	P50S  float64 `json:"p50_s"`
	P75S  float64 `json:"p75_s"`
	P90S  float64 `json:"p90_s"`
	P95S  float64 `json:"p95_s"`
	P99S  float64 `json:"p99_s"`
	P999S float64 `json:"p99_9_s"`
	P9999 float64 `json:"p99_99_s"`
	MaxS  float64 `json:"max_s"`

	// Histogram is the distribution in HdrHistogram's compressed V2 form.
	Histogram string `json:"histogram"`

	hist *hdrhistogram.Histogram // nil until it is decoded
}

// Second is one second of the window. The last one may be shorter.
type Second struct {
	AtS      float64 `json:"at_s"` // its beginning, since the window began
	Requests uint64  `json:"requests"`
	Errors   uint64  `json:"errors"`
	Active   int     `json:"active"` // connections at its end
	P50S     float64 `json:"p50_s"`  // corrected, as is the next; both to two digits
	P99S     float64 `json:"p99_s"`
	MaxS     float64 `json:"max_s"`
}

// Mark is an event of the target's.
type Mark struct {
	AtS  float64 `json:"at_s"` // since the window began
	Kind string  `json:"kind"` // reload, reload_failed, worker_death or other
	Text string  `json:"text"`
}

// ServerCost is the processor time of a server on this machine.
type ServerCost struct {
	PIDs         []int   `json:"pids"` // when the window ended
	CPUS         float64 `json:"cpu_s"`
	PerRequestUS float64 `json:"per_request_us"`
}

// Generator is about the generator itself.
type Generator struct {
	CPUS      float64  `json:"cpu_s"`
	BusyShare float64  `json:"busy_share"` // of the busiest loop's time that it did not wait; 1 is a generator at its limit
	LateMaxS  float64  `json:"late_max_s"` // worst delay of a send that only the generator is to blame for
	Unsent    uint64   `json:"unsent"`     // due by the end, and never sent
	Warnings  []string `json:"warnings"`   // what makes the figures doubtful, in sentences
}
