package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"prefork/cmd/prefork/internal/loadreport"
	"prefork/cmd/prefork/internal/nearest"
	"prefork/internal/load"
)

// maxPayloadFile bounds what is read of a payload's file; the engine takes no
// more either.
const maxPayloadFile = 1 << 20

type loadFlags struct {
	options     load.Options
	churn       bool
	idle        int
	payload     string
	payloadFile string
	template    string
	control     string
	asJSON      bool
	hgrm, csv   string
	plot        string
	fail        []string
}

// bind adds the flags.
func (f *loadFlags) bind(cmd *cobra.Command) {
	o, s := &f.options, cmd.Flags()
	s.SortFlags = false
	s.IntVarP(&o.Connections, "connections", "c", 32, "how `MANY` connections")
	s.DurationVarP(&o.Duration, "duration", "d", 0, "how long; 10s unless --requests or --rate says")
	s.Uint64VarP(&o.Requests, "requests", "n", 0, "end after so `MANY` requests")
	s.StringVar(&o.Rate, "rate", "", "send by a schedule: a `RATE` or stages of it")
	s.BoolVar(&f.churn, "churn", false, "connect for each request")
	s.IntVar(&f.idle, "idle", 0, "open so `MANY` connections and only hold them")
	s.IntVar(&o.Pipeline, "pipeline", 1, "so `MANY` requests in flight on each connection")
	s.IntVar(&o.PerConn, "per-connection", 0, "close after so `MANY` requests, and connect again")
	s.StringVar(&f.payload, "payload", "", "send this `TEXT`, with \\n and \\xHH")
	s.StringVar(&f.payloadFile, "payload-file", "", "send what is in this `FILE`")
	s.StringVar(&f.template, "template", "", "send this `TEXT`, with {n} for a number")
	s.StringVar(&o.Expect, "expect", "", "the right answer: `EXPECT`")
	s.StringVar(&o.Method, "method", "", "the `METHOD` of http")
	s.StringArrayVar(&o.Header, "header", nil, "a header of http, `\"NAME: VALUE\"`; may be repeated")
	s.DurationVar(&o.Warmup, "warmup", 0, "run so long before anything counts")
	s.DurationVar(&o.Timeout, "timeout", 5*time.Second, "how long an answer may take")
	s.DurationVar(&o.Wait, "wait", time.Second, "how long the server may refuse connections at the beginning; 0s is for ever")
	s.IntVar(&o.Loops, "loops", load.DefaultLoops(), "so `MANY` threads")
	s.StringSliceVar(&o.Source, "source", nil, "connect from these `ADDRESSES` in turn")
	s.StringVar(&f.control, "control", "", "mark reloads and dead workers of the server with this control socket `PATH`")
	s.BoolVar(&f.asJSON, "json", false, "print JSON")
	s.StringVar(&f.hgrm, "hgrm", "", "write the latencies to this `FILE`, for HdrHistogram's plotter")
	s.StringVar(&f.csv, "csv", "", "write the seconds to this `FILE`")
	s.StringVar(&f.plot, "plot", "", "draw the run into this `FILE`, .svg or .html")
	s.StringArrayVar(&f.fail, "fail", nil, "exit 1 if this `CHECK` is true, such as 'p99>5ms'; may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("expect", cobra.FixedCompletions(load.Expectations(), cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
	_ = cmd.RegisterFlagCompletionFunc("method", cobra.FixedCompletions([]string{"GET", "HEAD", "POST", "PUT", "DELETE"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagFilename("plot", "svg", "html")
}

// complete turns the flags into options and checks, or says all that is wrong
// with them.
func (f *loadFlags) complete(cmd *cobra.Command) ([]loadreport.Threshold, error) {
	errs := f.modes(cmd)
	if err := f.body(cmd); err != nil {
		errs = append(errs, err)
	}
	checks := make([]loadreport.Threshold, 0, len(f.fail))
	for _, expr := range f.fail {
		c, err := loadreport.ParseThreshold(expr)
		if err != nil {
			errs = append(errs, fmt.Errorf("--fail: %w", err))
		}
		checks = append(checks, c)
	}
	if ext := filepath.Ext(f.plot); f.plot != "" && ext != ".svg" && ext != ".html" {
		errs = append(errs, fmt.Errorf("--plot: want a file that ends in .svg or .html, not %q", f.plot))
	}
	for _, err := range f.options.Validate() {
		errs = append(errs, f.hint(err))
	}
	if len(errs) > 0 {
		return nil, &usageError{cmd.CommandPath(), errors.Join(errs...)}
	}
	return checks, nil
}

// hint adds the nearest word to what is wrong with an expectation.
func (f *loadFlags) hint(err error) error {
	if !strings.HasPrefix(err.Error(), "expect: want echo") {
		return err
	}
	word, _, _ := strings.Cut(f.options.Expect, ":")
	var words []string
	for _, w := range load.Expectations() {
		words = append(words, strings.TrimSuffix(w, ":"))
	}
	return fmt.Errorf("%w%s", err, nearest.Hint(word, words))
}

func (f *loadFlags) modes(cmd *cobra.Command) []error {
	var errs []error
	set := cmd.Flags().Changed
	if f.churn {
		f.options.Mode = load.Churn
	}
	if set("idle") {
		f.options.Mode = load.Idle
		f.options.Connections = f.idle
		for _, other := range []string{"connections", "churn", "pipeline"} {
			if set(other) {
				errs = append(errs, fmt.Errorf("--idle: --%s does not go with it", other))
			}
		}
	}
	// For the engine 0 is the default; as a flag it is a mistake.
	for _, n := range []struct {
		name  string
		value *int
	}{{"connections", &f.options.Connections}, {"idle", &f.options.Connections}, {"pipeline", &f.options.Pipeline}, {"loops", &f.options.Loops}} {
		if set(n.name) && *n.value < 1 {
			errs = append(errs, fmt.Errorf("--%s: at least 1, not %d", n.name, *n.value))
			*n.value = 0
		}
	}
	if set("requests") && f.options.Requests == 0 {
		errs = append(errs, errors.New("--requests: at least 1, not 0"))
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
	}{{"duration", &f.options.Duration}, {"timeout", &f.options.Timeout}} {
		if set(d.name) && *d.value <= 0 {
			errs = append(errs, fmt.Errorf("--%s: more than 0s, not %v", d.name, *d.value))
			*d.value = 0
		}
	}
	if !set("loops") {
		f.options.Loops = 0 // no more than there are connections
	}
	return errs
}

func (f *loadFlags) body(cmd *cobra.Command) error {
	var named []string
	for _, name := range []string{"payload", "payload-file", "template"} {
		if cmd.Flags().Changed(name) {
			named = append(named, "--"+name)
		}
	}
	if len(named) > 1 {
		return fmt.Errorf("want one of %s", strings.Join(named, " and "))
	}
	var err error
	switch {
	case len(named) == 0:
	case f.payloadFile != "":
		f.options.Payload, err = readPayload(f.payloadFile)
	case f.template != "":
		f.options.Template = true
		f.options.Payload, err = load.Unescape(f.template)
	default:
		f.options.Payload, err = load.Unescape(f.payload)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", named[0], err)
	}
	return nil
}

// readPayload reads a file, if it is no larger than a payload may be.
func readPayload(path string) ([]byte, error) {
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxPayloadFile+1))
	if err == nil && len(data) > maxPayloadFile {
		err = fmt.Errorf("%s: larger than %d bytes", path, maxPayloadFile)
	}
	return data, err
}
