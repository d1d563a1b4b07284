package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"prefork/bench/internal/load"
)

// The children die with the thread that started them (PR_SET_PDEATHSIG), so
// it must be the one that lives as long as the program.
func init() { runtime.LockOSThread() }

func main() {
	load.Main()
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	cancel()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// modulePath is the module that is measured: this one's directory.
var modulePath = func() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Path != "" {
		return path.Dir(info.Main.Path)
	}
	return "prefork"
}()

// docs is the directory of the documents, from bench/.
const docs = "../docs"

// plan is what the command line asks for.
type plan struct {
	command string // as the report shows it, without the paths of files
	rounds  int
	quick   bool
	json    bool
	out     string // a file for the raw values
	write   bool
	from    []string // raw files to show; nothing is measured
	only    []string
	prefork string // a built program; "" builds it

	profileMode string // a mode to profile; nothing is measured
	profileLoad string // arguments of prefork load; "" is those of the mode
}

// figures in the order of the report.
var figures = []struct {
	name string
	run  func(b *bench, ctx context.Context) error
}{
	{"echo", (*bench).echo},
	{"pipelined", (*bench).pipelined},
	{"http", (*bench).keepAlive},
	{"rate", (*bench).rate},
	{"churn", (*bench).churn},
	{"control", (*bench).controlClient},
	{"forking", (*bench).forking},
	{"floor", (*bench).floor},
	{"spawn", (*bench).spawn},
	{"kill", (*bench).kill},
	{"reload", (*bench).reload},
	{"skew", (*bench).skew},
	{"idle", (*bench).idle},
	{"master-idle", (*bench).masterIdle},
	{"status", (*bench).statusOfMany},
	{"poll", (*bench).poll},
	{"load", (*bench).generators},
}

func parse(args []string, stderr io.Writer) (plan, error) {
	var p plan
	var only, from string
	names := make([]string, len(figures))
	for i, f := range figures {
		names[i] = f.name
	}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&p.rounds, "rounds", 7, "rounds of each comparison")
	fs.BoolVar(&p.quick, "quick", false, "a smoke test: one short round; the figures mean nothing")
	fs.BoolVar(&p.json, "json", false, "print the raw JSON instead of tables")
	fs.StringVar(&p.out, "out", "", "write the raw values of every round to this file, as JSON")
	fs.BoolVar(&p.write, "write", false, "write tables and charts into "+docs+", with what was measured before")
	fs.StringVar(&from, "from", "", "measure nothing; show these raw files, of two suites with one name the newer")
	fs.StringVar(&only, "only", "", "some of "+strings.Join(names, ",")+", or of their suites, such as echo-64")
	fs.StringVar(&p.prefork, "prefork", "", "the prefork program to measure (default: build it from ..)")
	fs.StringVar(&p.profileMode, "profile", "", "measure nothing; profile this mode by perf")
	fs.StringVar(&p.profileLoad, "load", "", "with -profile, the load: arguments of prefork load")
	if err := fs.Parse(args); err != nil {
		return p, err
	}
	p.command = "go run ."
	fs.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "out", "write", "json", "from", "prefork":
		default:
			p.command += " -" + f.Name
			if value := f.Value.String(); value != "true" {
				p.command += " " + value
			}
		}
	})
	if fs.NArg() > 0 {
		return p, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if p.rounds < 1 || p.rounds > 100 {
		return p, fmt.Errorf("rounds is %d, want 1 to 100", p.rounds)
	}
	if p.write && p.quick {
		return p, errors.New("-write wants figures, and those of -quick mean nothing")
	}
	if p.quick {
		p.rounds = 1
	}
	if from != "" {
		p.from = strings.Split(from, ",")
	}
	for name := range strings.SplitSeq(only, ",") {
		switch {
		case name == "":
		case slices.ContainsFunc(names, func(figure string) bool { return belongs(name, figure) }):
			p.only = append(p.only, name)
		default:
			return p, fmt.Errorf("no figure %q; there are %s", name, strings.Join(names, ", "))
		}
	}
	return p, nil
}

// belongs says that a suite's name is that of the figure, alone or with a suffix.
func belongs(suite, figure string) bool {
	return suite == figure || strings.HasPrefix(suite, figure+"-")
}

// wants says whether a suite, or all of a figure, was asked for.
func (p *plan) wants(name string) bool {
	return len(p.only) == 0 || slices.ContainsFunc(p.only, func(only string) bool { return belongs(name, only) })
}

// run does what args ask for and prints the report to stdout, and how far it
// is to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	p, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if p.profileMode != "" {
		b := &bench{plan: p, progress: stderr}
		defer b.close()
		return b.profile(ctx, stdout)
	}
	r, err := p.report(ctx, stderr)
	if err != nil {
		return err
	}
	if p.out != "" {
		if err := r.writeFile(p.out); err != nil {
			return err
		}
	}
	if p.write {
		if err := r.writeDocs(docs); err != nil {
			return err
		}
	}
	if p.json {
		return r.writeJSON(stdout)
	}
	return r.writeTables(stdout)
}

// report reads the raw files, or measures.
func (p plan) report(ctx context.Context, stderr io.Writer) (report, error) {
	if len(p.from) > 0 {
		return readReports(p.from)
	}
	b := &bench{plan: p, progress: stderr, run: describeRun(ctx, p.command), report: report{Format: format}}
	defer b.close()
	if err := b.build(ctx); err != nil {
		return report{}, err
	}
	for _, f := range figures {
		if !p.wants(f.name) && !slices.ContainsFunc(p.only, func(name string) bool { return belongs(name, f.name) }) {
			continue
		}
		began := time.Now()
		if err := f.run(b, ctx); err != nil {
			return report{}, fmt.Errorf("%s: %w", f.name, err)
		}
		fmt.Fprintf(stderr, "%s: %.1f s\n", f.name, time.Since(began).Seconds())
	}
	for _, name := range p.only {
		if !slices.ContainsFunc(b.report.Suites, func(s suite) bool { return belongs(s.Name, name) }) {
			return report{}, fmt.Errorf("no suite %q", name)
		}
	}
	return b.report, b.report.check()
}
