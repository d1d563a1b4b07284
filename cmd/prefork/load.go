package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"prefork/cmd/prefork/internal/loadreport"
	"prefork/cmd/prefork/internal/nearest"
	"prefork/cmd/prefork/internal/screen"
	"prefork/internal/load"
)

func newLoad() *cobra.Command {
	f := &loadFlags{}
	cmd := &cobra.Command{
		Use:     "load URL",
		Short:   "send requests to a server and say how it answered",
		GroupID: groupLoad,
		Long: `Keeps a number of connections to a server asking, checks every answer, and says
how many there were, how long they took, and what became of the rest. The URL is
tcp://host:port, host:port, unix:///path or http://host:port/path.

Without --rate each connection asks again when it has its answer (a closed loop):
it finds what the server can do. With --rate requests come at their times
whatever the server does (an open loop), and each latency counts from the time at
which its request was due: it finds how long users would wait.

RATE is a number of requests a second, or stages: 500@10s,1000-5000@20s,5000@30s
holds 500 for ten seconds, rises to 5000 in twenty, and holds that for thirty.

Requests and answers: a line "hello {n}" and one line, for http GET and status
2xx. {n} in a template or a path is a number that never repeats, {n:8} has
leading zeros. EXPECT is echo, upper, lines:N, bytes:N or regex:RE (a line
matches), for http status:200, status:2xx or regex:RE (so does the body).

Exit status: 0, or 1 if a --fail is true of the run or nothing was answered. A
server that refuses every connection for the first second ends the run; --wait
gives it longer, for a server that is only starting.`,
		Example: `  prefork load tcp://127.0.0.1:9999 -c 64 -d 10s --expect upper
  prefork load http://127.0.0.1:8080/ --rate 500@5s,2000@10s --warmup 1s
  prefork load tcp://127.0.0.1:9999 --churn -n 10000 --source 127.0.0.2
  prefork load http://127.0.0.1:8080/ --json --fail 'p99>5ms' > run.json
  prefork load compare before.json after.json`,
		Args: f.args,
		RunE: f.run,
	}
	f.bind(cmd)
	cmd.AddCommand(newLoadCompare())
	return cmd
}

func newLoadCompare() *cobra.Command {
	return &cobra.Command{
		Use:   "compare A.json B.json",
		Short: "show what differs between two runs",
		Long: `Reads two runs that load --json printed, and shows their figures side by side with
what changed from the first to the second.`,
		Example: `  prefork load compare before.json after.json
  prefork load compare monday.json today.json | less`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage(cmd, "want two files of load --json, not %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := loadreport.Read(args[0])
			if err != nil {
				return err
			}
			b, err := loadreport.Read(args[1])
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			return loadreport.Compare(out, a, b, textOptions(out))
		},
	}
}

// args wants a URL, and recognises a mistyped compare.
func (f *loadFlags) args(cmd *cobra.Command, args []string) error {
	if len(args) > 0 && !strings.Contains(args[0], ":") {
		if hint := nearest.Hint(args[0], []string{"compare"}); hint != "" {
			return usage(cmd, "unknown command %q%s", args[0], hint)
		}
	}
	return oneArg("the URL of a server")(cmd, args)
}

func (f *loadFlags) run(cmd *cobra.Command, args []string) error {
	f.options.URL = args[0]
	checks, err := f.complete(cmd)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	result, err := f.measure(ctx, cmd.ErrOrStderr())
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	stop() // another interrupt ends the report
	if err := f.report(cmd.OutOrStdout(), result); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	var failed []string
	// Idle connections send nothing; they succeed by being open.
	held := f.options.Mode == load.Idle && result.Standing > 0
	if result.Requests == 0 && !held && result.Failed() > 0 {
		failed = append(failed, "nothing was answered")
	}
	for _, c := range checks {
		if yes, why := c.Check(result); yes {
			failed = append(failed, why)
		}
	}
	if len(failed) > 0 {
		return errors.New("load: " + strings.Join(failed, "\n"))
	}
	return nil
}

// measure runs the load, with its progress on a terminal and the target's
// marks.
func (f *loadFlags) measure(ctx context.Context, stderr io.Writer) (*load.Result, error) {
	loops := f.options.Loops
	if loops == 0 {
		loops = load.DefaultLoops()
	}
	// Each loop occupies a processor of Go's, and the rest needs one.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), loops+1))
	var watch *marker
	if f.control != "" {
		var err error
		if watch, err = newMarker(ctx, f.control); err != nil {
			return nil, err
		}
		defer watch.close()
	}
	run, err := load.Start(ctx, f.options)
	if err != nil {
		return nil, err
	}
	var watching sync.WaitGroup
	if watch != nil {
		watching.Go(func() { watch.work(ctx, run) })
	}
	showProgress(stderr, run)
	result := run.Wait()
	watching.Wait()
	if err := run.Unreached(); err != nil {
		return nil, fmt.Errorf("%w, and that for %v; does the server run? --wait gives it longer", err, f.options.Wait)
	}
	return result, nil
}

// report writes the result in every requested form: first to standard output, so
// that it is not lost if a file cannot be written.
func (f *loadFlags) report(out io.Writer, r *load.Result) error {
	if err := f.print(out, r); err != nil {
		return err
	}
	for _, file := range []struct {
		path  string
		write func(io.Writer, *load.Result) error
	}{{f.hgrm, loadreport.Hgrm}, {f.csv, loadreport.CSV}} {
		if file.path == "" {
			continue
		}
		if err := writeFile(file.path, r, file.write); err != nil {
			return err
		}
	}
	if f.plot != "" {
		return loadreport.Plot(f.plot, r)
	}
	return nil
}

func (f *loadFlags) print(out io.Writer, r *load.Result) error {
	if !f.asJSON {
		return loadreport.Text(out, r, textOptions(out))
	}
	return printJSON(out, r)
}

func writeFile(path string, r *load.Result, write func(io.Writer, *load.Result) error) error {
	file, err := os.Create(filepath.Clean(path))
	if err != nil {
		return err
	}
	if err := write(file, r); err != nil {
		_ = file.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	return file.Close()
}

func textOptions(w io.Writer) loadreport.TextOptions {
	o := loadreport.TextOptions{Color: painterFor(w).On}
	if file, ok := w.(*os.File); ok {
		o.Width = screen.Columns(file)
	}
	return o
}
