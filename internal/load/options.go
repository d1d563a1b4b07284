package load

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Mode is what the connections are for.
type Mode string

const (
	Exchange Mode = "exchange" // connections that stay, and ask again and again
	Churn    Mode = "churn"    // a connection for each request
	Idle     Mode = "idle"     // connections that are opened and held
)

// The bounds of what can be asked for.
const (
	maxConnections = 100_000
	maxPipeline    = 1024
	maxSlots       = 4 << 20 // connections times pipeline
	maxLoops       = 64
	maxDuration    = 24 * time.Hour
	maxTimeout     = 10 * time.Minute
	maxPayload     = 1 << 20
	maxHeaders     = 64
	maxHeader      = 8 << 10
	maxSources     = 256
)

// Options says what a run does. The zero value of each field but URL is usable.
type Options struct {
	// URL is the target: tcp://host:port, host:port, unix:///path, http://host:port/path or
	// http+unix://%2Fpath%2Fof%2Fsocket/path. The path of a request may hold {n}.
	URL string

	Mode        Mode          // "" is Exchange
	Connections int           // 0: 32
	Pipeline    int           // requests in flight on each connection; 0: 1
	Duration    time.Duration // of the window; 0: 10 s, or until Requests have been made
	Requests    uint64        // how many at most; 0: as many as fit
	Rate        string        // stages such as 500@10s,1000-5000@20s; "": a closed loop
	Warmup      time.Duration // before the window, not counted
	Timeout     time.Duration // of an exchange, and of a connect; 0: 5 s
	Connect     time.Duration // of a connect, if that is to be another; 0: Timeout
	Wait        time.Duration // give up if connects fail for so long at the beginning; 0: never
	Loops       int           // threads; 0: DefaultLoops

	// Payload is what is sent: the request of tcp and unix, the body of http.
	// If Template is set, {n} in it is a number that never repeats in the run,
	// and {n:8} the same with leading zeros. nil: the template "hello {n}\n", and
	// for http no body.
	Payload  []byte
	Template bool

	Method string   // of http; "": GET, or POST if there is a Payload
	Header []string // of http: "Name: value"

	// Expect is what a right answer is: a word of Expectations, with its value.
	// "": lines:1, for http status:2xx.
	Expect string

	// Reply is a template of the whole reply, for http of its body, with the
	// number of its request for {n}. For tcp and unix it takes Expect's place.
	Reply string

	// Source lists addresses to connect from, in turn. Each has ports of its
	// own. nil: the kernel chooses.
	Source []string

	PerConn int           // requests of a connection before it hangs up; 0: no limit
	Pause   time.Duration // from an answer to the next request of a connection, in a closed loop

	// OnThread is called on the thread of each loop before it opens anything,
	// and may move it, to another network namespace for example: the thread ends
	// with the loop then. An error ends the loop with a failure of class other.
	OnThread func() error

	// Greeting is a line that is sent first on each connection, and is no
	// exchange. The line that answers it becomes the connection's label;
	// failures are counted by label in Failures.LostBy.
	Greeting string
}

// DefaultLoops is the number of threads of a run that does not say: one, and
// on larger machines one for each four processors. A loop is cheaper than any
// server; on a small machine a second one takes from the server what it needs.
func DefaultLoops() int { return min(max(1, runtime.NumCPU()/4), maxLoops) }

// plan is the checked and completed Options.
type plan struct {
	Options
	target   target
	schedule schedule // empty: a closed loop
	expect   expect
	request  template
	greeting []byte
	source   []netip.Addr
}

// Validate returns everything that is wrong with the options. What depends on
// the machine, such as a host's name, is found by Start.
func (o Options) Validate() []error {
	_, errs := o.plan()
	return errs
}

// plan fills in the defaults and parses.
func (o Options) plan() (*plan, []error) {
	p := &plan{Options: o}
	var errs []error
	add := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	var err error
	p.target, err = parseTarget(o.URL)
	add(err)
	add(p.modes())
	errs = append(errs, p.bounds()...)
	if o.Rate != "" {
		length := p.Duration
		if length == 0 && p.Requests > 0 {
			length = maxDuration // the requests end the run
		}
		p.schedule, err = parseRate(o.Rate, length)
		add(err)
		add(p.openLoop())
	}
	if p.Duration == 0 && p.Requests == 0 {
		p.Duration = 10 * time.Second
		if o.Rate != "" {
			p.Duration = p.schedule.length()
		}
	}
	p.expect, err = p.expectation()
	add(err)
	errs = append(errs, p.sources()...)
	errs = append(errs, p.requests()...)
	return p, errs
}

func (p *plan) open() bool { return p.Rate != "" }

// expected describes a right answer in a message.
func (p *plan) expected() string {
	if p.Reply != "" {
		return fmt.Sprintf("%.60q", p.Reply)
	}
	return cut(p.Expect, 60)
}

// openLoop checks what goes with a rate, and lets the schedule end the window.
func (p *plan) openLoop() error {
	switch {
	case p.Pause > 0:
		return errors.New("pause: a rate says when requests are sent; there is no pause between them")
	case p.Mode == Idle:
		return errors.New("rate: idle connections send nothing")
	}
	if length := p.schedule.length(); length > 0 && (p.Duration == 0 || length < p.Duration) {
		p.Duration = length
	}
	return nil
}

// modes checks the mode, and what does not go with it.
func (p *plan) modes() error {
	switch p.Mode {
	case "":
		p.Mode = Exchange
	case Exchange, Idle:
	case Churn:
		if p.Pipeline > 1 || p.PerConn > 1 {
			return errors.New("mode: a connection of churn has one request; pipeline and requests per connection do not go with it")
		}
	default:
		return fmt.Errorf("mode: want exchange, churn or idle, not %q", p.Mode)
	}
	if p.Mode == Idle && p.Requests > 0 {
		return errors.New("requests: idle connections send nothing")
	}
	return nil
}

func (p *plan) bounds() []error {
	p.Connections, p.Pipeline = cmp.Or(p.Connections, 32), cmp.Or(p.Pipeline, 1)
	p.Loops = cmp.Or(p.Loops, min(DefaultLoops(), max(p.Connections, 1)))
	p.Timeout = cmp.Or(p.Timeout, 5*time.Second)
	p.Connect = cmp.Or(p.Connect, p.Timeout)
	errs := slices.DeleteFunc([]error{
		within("connections", p.Connections, 1, maxConnections),
		within("pipeline", p.Pipeline, 1, maxPipeline),
		within("loops", p.Loops, 1, min(maxLoops, max(p.Connections, 1))),
		within("requests per connection", p.PerConn, 0, 1<<30),
		within("payload bytes", len(p.Payload), 0, maxPayload),
		within("greeting bytes", len(p.Greeting), 0, maxHeader),
		within("headers", len(p.Header), 0, maxHeaders),
		within("source addresses", len(p.Source), 0, maxSources),
		within("duration", p.Duration, 0, maxDuration),
		within("warm-up", p.Warmup, 0, maxDuration),
		within("timeout", p.Timeout, time.Millisecond, maxTimeout),
		within("connect timeout", p.Connect, time.Millisecond, maxTimeout),
		within("wait", p.Wait, 0, maxDuration),
		within("pause", p.Pause, 0, maxDuration),
	}, func(err error) bool { return err == nil })
	if n := p.Connections * p.Pipeline; len(errs) == 0 && n > maxSlots {
		errs = append(errs, fmt.Errorf("connections times pipeline: want at most %d, not %d", maxSlots, n))
	}
	return errs
}

func within[T cmp.Ordered](name string, value, low, high T) error {
	if value < low || value > high {
		return fmt.Errorf("%s: want %v to %v, not %v", name, low, high, value)
	}
	return nil
}

func (p *plan) sources() []error {
	var errs []error
	for _, s := range p.Source {
		a, err := netip.ParseAddr(s)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("source: %q is no IP address", s))
		case p.target.network == "unix":
			return append(errs, errors.New("source: a connection to a unix socket has no source address"))
		default:
			p.source = append(p.source, a.Unmap())
		}
	}
	return errs
}

func (p *plan) requests() []error {
	if p.Greeting != "" {
		p.greeting = []byte(strings.TrimSuffix(p.Greeting, "\n") + "\n")
	}
	if p.target.http {
		return p.httpRequest()
	}
	var errs []error
	if p.Method != "" || len(p.Header) > 0 {
		errs = append(errs, errors.New("method and header: only http has them"))
	}
	switch {
	case p.Payload == nil:
		p.request = parseTemplate("hello {n}\n")
	case p.Template:
		p.request = parseTemplate(string(p.Payload))
	default:
		p.request = literal(p.Payload)
	}
	if p.request.empty() && p.Mode != Idle {
		errs = append(errs, errors.New("payload: nothing to send"))
	}
	return errs
}
