package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"prefork/internal/load"
)

// variable marks the load process.
const variable = "PREFORK_BENCH_LOAD"

// answer is one line from the load process. Error is set alone.
type answer struct {
	Ready  bool    `json:"ready,omitempty"`
	Report *Report `json:"report,omitempty"`
	Error  string  `json:"error,omitempty"`
}

// Main runs the load process and does not return, if this is one. A program
// calls it before anything else, its tests in TestMain.
func Main() {
	if os.Getenv(variable) == "" {
		return
	}
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve does one job, told over r and reported over w, failure included. Its
// own error is that it could not say so.
func serve(r io.Reader, w io.Writer) error {
	in, out := json.NewDecoder(r), json.NewEncoder(w)
	var job Job
	if err := in.Decode(&job); err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	if err := job.work(in, out); err != nil {
		return out.Encode(answer{Error: err.Error()})
	}
	var end any
	_ = in.Decode(&end) // until the parent has seen enough
	return nil
}

// work warms the server up, waits for the word, and runs the window.
func (j *Job) work(in *json.Decoder, out *json.Encoder) error {
	o, err := j.options()
	if err != nil {
		return err
	}
	if j.Warmup > 0 {
		o.Duration, o.Requests = maxWindow, uint64(j.Warmup)
		if _, err := run(o); err != nil {
			return fmt.Errorf("warm up: %w", err)
		}
	}
	if err := out.Encode(answer{Ready: true}); err != nil {
		return err
	}
	var word string
	if err := in.Decode(&word); err != nil {
		return fmt.Errorf("wait for the word: %w", err)
	}
	before := ownCPU()
	o.Duration, o.Requests = j.Window, uint64(j.Limit)
	r, err := run(o)
	if err != nil {
		return err
	}
	return out.Encode(answer{Report: &Report{
		Exchanges: int(r.Requests), Elapsed: duration(r.ElapsedS),
		P50: duration(r.Uncorrected.P50S), P99: duration(r.Uncorrected.P99S), CPU: ownCPU() - before,
	}})
}

// run runs exchanges. One that fails makes all of it an error.
func run(o load.Options) (*load.Result, error) {
	running, err := load.Start(context.Background(), o)
	if err != nil {
		return nil, err
	}
	r := running.Wait()
	if r.Failed() > 0 {
		err = fmt.Errorf("%d exchanges failed: %s", r.Failed(), r.Examples[0])
	}
	return r, err
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * 1e9) }

func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Process is a load process that is warm and waits for its word.
type Process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	stderr *capped
}

// Start starts a load process and returns once it is warm. The caller must
// Close it. It must be called from the thread that outlives the process: the
// child dies with it.
func Start(job Job) (*Process, error) {
	p := &Process{stderr: &capped{}}
	p.cmd = exec.Command("/proc/self/exe")
	if job.Control != "" {
		p.cmd = exec.Command(job.Control, job.arguments()...)
	}
	p.cmd.Env = append(os.Environ(), variable+"=1")
	p.cmd.Stderr = p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start load: %w", err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start load: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start load: %w", err)
	}
	p.out = json.NewDecoder(bufio.NewReader(stdout))
	if err := p.prepare(job); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Process) prepare(job Job) error {
	if job.Control == "" {
		if err := p.send(job); err != nil {
			return err
		}
	}
	a, err := p.receive()
	if err == nil && !a.Ready {
		err = errors.New("load: not ready")
	}
	return err
}

// Run gives the word and waits for the report.
func (p *Process) Run() (Report, error) {
	if err := p.send("go"); err != nil {
		return Report{}, err
	}
	a, err := p.receive()
	if err != nil {
		return Report{}, err
	}
	if a.Report == nil {
		return Report{}, errors.New("load: no report")
	}
	return *a.Report, nil
}

// Close lets the process close its connections, and waits for its end.
func (p *Process) Close() error {
	_ = p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("load: %w\n%s", err, p.stderr.text)
	}
	return nil
}

func (p *Process) send(v any) error {
	if err := json.NewEncoder(p.in).Encode(v); err != nil {
		return fmt.Errorf("send to load process: %w", err)
	}
	return nil
}

func (p *Process) receive() (answer, error) {
	var a answer
	if err := p.out.Decode(&a); err != nil {
		return a, fmt.Errorf("read from load process: %w", err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("load: %s", a.Error)
	}
	return a, nil
}

// capped keeps the first bytes that are written to it.
type capped struct{ text []byte }

// Write keeps what fits and takes the rest.
func (c *capped) Write(p []byte) (int, error) {
	const most = 4 << 10
	c.text = append(c.text, p[:min(len(p), most-len(c.text))]...)
	return len(p), nil
}
