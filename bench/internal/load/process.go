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

// work gets ready, waits for the word, and runs the window.
func (j *Job) work(in *json.Decoder, out *json.Encoder) error {
	o, err := j.options()
	if err != nil {
		return err
	}
	if j.Kind == Hold {
		return j.hold(o, in, out)
	}
	if j.Kind == Persistent {
		o.Warmup = warmupTime + time.Duration(j.Connections)*connectTime
	}
	if j.Kind == Connect && j.Warmup > 0 {
		warm := o
		warm.Duration, warm.Requests = maxWindow, uint64(j.Warmup)
		if _, err := run(warm); err != nil {
			return fmt.Errorf("warm up: %w", err)
		}
	}
	if err := ready(in, out); err != nil {
		return err
	}
	before := ownCPU()
	r, err := run(o)
	if err != nil {
		return err
	}
	report := Report{
		Exchanges: int(r.Requests), Elapsed: duration(r.ElapsedS), Unsent: int(r.Generator.Unsent),
		P50: duration(r.Uncorrected.P50S), P99: duration(r.Uncorrected.P99S), CPU: ownCPU() - before,
	}
	if j.Rate > 0 {
		report.P50, report.P99 = duration(r.Corrected.P50S), duration(r.Corrected.P99S)
	}
	if j.Kind == Persistent && r.Server != nil {
		report.Server = duration(r.Server.CPUS)
	}
	return out.Encode(answer{Report: &report})
}

// hold is ready when each connection has had its exchange, and keeps all of them until
// the parent closes the input. There is no window.
func (j *Job) hold(o load.Options, in *json.Decoder, out *json.Encoder) error {
	o.Requests = 0
	running, err := load.Start(context.Background(), o)
	if err != nil {
		return err
	}
	defer running.Wait()
	defer running.Stop()
	if err := j.standing(running); err != nil {
		return err
	}
	return ready(in, out)
}

// standing waits until each connection has had its exchange.
func (j *Job) standing(running *load.Run) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(time.Minute); ; {
		now := running.Progress()
		switch {
		case now.Errors > 0:
			running.Stop()
			return fmt.Errorf("%d connections failed: %s", now.Errors, running.Wait().Examples[0])
		case now.Requests >= uint64(j.Connections):
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%d of %d connections stand after a minute", now.Requests, j.Connections)
		}
		<-ticker.C
	}
}

// ready says so and waits for the word, which for Hold never comes: the end of the
// input is as good.
func ready(in *json.Decoder, out *json.Encoder) error {
	if err := out.Encode(answer{Ready: true}); err != nil {
		return err
	}
	var word string
	if err := in.Decode(&word); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("wait for the word: %w", err)
	}
	return nil
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

// Process is a load process that is ready and waits for its word.
type Process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	stderr *capped
}

// Start starts a load process and returns once it is ready. The caller must
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
