package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"prefork/internal/cpu"
)

// The windows of a profile. The load runs for all of them.
const (
	profileWarmup  = time.Second
	profileCPU     = 5 * time.Second
	profileBlocked = 2 * time.Second // every switch of a thread is an event
	profileLoad    = profileWarmup + profileCPU + profileBlocked + 4*time.Second
	profileHertz   = 1997 // no multiple of a timer's frequency
)

// profiled is how a server is started to be profiled, and its load.
type profiled struct {
	scheme      string
	serve, load string
}

// profiles are the modes that can be profiled.
var profiles = map[string]profiled{
	"threading":  {"tcp", "--mode threading", "-c 64 --expect upper"},
	"event":      {"tcp", "--mode event", "-c 64 --expect upper"},
	"sequential": {"tcp", "--mode sequential", "-c 8 --expect upper --churn --source " + manySources},
	"forking":    {"tcp", "--mode forking", "-c 8 --expect upper --churn --source " + manySources},
	"http":       {"http", "--mode threading --handler http", "-c 64"},
}

// Connections that the client closes keep their ports for a minute.
const manySources = "127.0.0.2,127.0.0.3,127.0.0.4,127.0.0.5,127.0.0.6,127.0.0.7,127.0.0.8,127.0.0.9"

// profile loads a server of one mode, samples where its processes run and where
// they are blocked, prints the tops, and leaves the files in a directory.
func (b *bench) profile(ctx context.Context, out io.Writer) error {
	p, ok := profiles[b.profileMode]
	if !ok {
		return fmt.Errorf("no profile of %q; there are %s", b.profileMode, strings.Join(slices.Sorted(maps.Keys(profiles)), ", "))
	}
	perf, errPerf := exec.LookPath("perf")
	if errPerf != nil && b.profileMode == "forking" {
		return errors.New("a profile of mode forking needs perf (package linux-perf): its processes are too short for Go's profiler")
	}
	if b.profileLoad != "" {
		p.load = b.profileLoad
	}
	dir, err := os.MkdirTemp("", "prefork-profile-"+b.profileMode+"-")
	if err != nil {
		return err
	}
	b.dir = filepath.Join(dir, "run")
	if err := os.Mkdir(b.dir, 0o700); err != nil {
		return err
	}
	if b.prefork == "" {
		// It stays beside the samples, which name its symbols by address.
		b.prefork = filepath.Join(dir, "prefork")
		if err := tool(ctx, "..", "go", "build", "-o", b.prefork, "./cmd/prefork"); err != nil {
			return err
		}
	}
	if errPerf != nil {
		return b.profileByGo(ctx, out, dir, p)
	}
	s, err := b.startPrefork(ctx, b.profileMode, strings.Fields(p.serve)...)
	if err != nil {
		return err
	}
	defer s.stop()
	r := recorder{perf: perf, dir: dir}
	if r.server, err = cpu.Members(s.pid); err != nil {
		return err
	}
	if err := b.underLoad(ctx, out, dir, p, s.address, profileLoad, r.record); err != nil {
		return err
	}
	if err := r.report(ctx, out); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nFiles: %s\ncpu.folded is for flame graphs; cpu.data and blocked.data are for perf report, which finds the program as %s\n", dir, b.prefork)
	return nil
}

// underLoad runs what records while prefork load runs for a time.
func (b *bench) underLoad(ctx context.Context, out io.Writer, dir string, p profiled, address string, window time.Duration,
	record func(context.Context) error,
) error {
	args := append([]string{"load", p.scheme + "://" + address, "-d", window.String()}, strings.Fields(p.load)...)
	client := exec.CommandContext(ctx, b.prefork, args...)
	client.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var report bytes.Buffer
	client.Stdout, client.Stderr = &report, &report
	if err := client.Start(); err != nil {
		return err
	}
	select {
	case <-time.After(profileWarmup):
	case <-ctx.Done(): // which also ends the client
	}
	err := ctx.Err()
	if err == nil {
		err = record(ctx)
	}
	if err != nil {
		_ = client.Process.Kill() // an error means that it has ended
	}
	if err := errors.Join(err, client.Wait()); err != nil {
		return fmt.Errorf("%w\n%s", err, report.Bytes())
	}
	summary, _, _ := strings.Cut(report.String(), "\nLATENCY")
	fmt.Fprintf(out, "prefork serve %s; prefork %s\n\n%s\n", p.serve, strings.Join(args, " "), summary)
	return os.WriteFile(filepath.Join(dir, "load.txt"), report.Bytes(), 0o644)
}

// profileByGo lets Go's runtime sample the workers: their own time and that of
// their system calls, without the kernel's stacks.
func (b *bench) profileByGo(ctx context.Context, out io.Writer, dir string, p profiled) error {
	fmt.Fprintln(out, "There is no perf on this machine, so Go's profiler samples the workers, and nothing shows where they wait.")
	program := filepath.Join(dir, "profile")
	if err := tool(ctx, "..", "go", "build", "-o", program, "./examples/profile"); err != nil {
		return err
	}
	s, err := b.startPeer("profile", []string{program, "-listen", "tcp://127.0.0.1:0", b.profileMode, dir})
	if err != nil {
		return err
	}
	defer s.stop()
	if err := b.underLoad(ctx, out, dir, p, s.address, profileCPU, func(context.Context) error { return nil }); err != nil {
		return err
	}
	// The workers write their profiles when they end.
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.done:
	case <-time.After(stopTimeout):
		return fmt.Errorf("the server does not end\n%s", s.tail())
	}
	files, err := filepath.Glob(filepath.Join(dir, "cpu-*.pprof"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no profile in %s: %w\n%s", dir, err, s.tail())
	}
	command := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof", "-top", "-nodecount", strconv.Itoa(topRows), program}, files...)...)
	command.Stdout, command.Stderr = out, out
	if err := command.Run(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nFiles: %s\n", dir)
	return nil
}

// recorder runs perf on the processes of a server.
type recorder struct {
	perf, dir  string
	server     []int // its processes when the recording begins
	noSwitches error // why the kernel does not show switches
}

func (r *recorder) file(name string) string { return filepath.Join(r.dir, name) }

// record samples the whole machine, for a mode may start processes all the time:
// first where its processors run, then all switches between threads.
func (r *recorder) record(ctx context.Context) error {
	if _, err := r.run(ctx, "record", "-q", "-e", "cpu-clock", "-F", strconv.Itoa(profileHertz), "-g", "-a", "-o", r.file("cpu.data"),
		"--", "sleep", seconds(profileCPU)); err != nil {
		return err
	}
	_, r.noSwitches = r.run(ctx, "record", "-q", "-e", "sched:sched_switch", "-g", "-a", "-o", r.file("blocked.data"),
		"--", "sleep", seconds(profileBlocked))
	return ctx.Err()
}

// script returns the samples of the server and of all others.
func (r *recorder) script(ctx context.Context, file string, fields string) (server, all []perfSample, err error) {
	text, err := r.run(ctx, "script", "-i", r.file(file), "--show-task-events", "-F", "comm,pid,tid,time,event,ip,sym,dso"+fields)
	if err != nil {
		return nil, nil, err
	}
	all, members := parseSamples(text, r.server)
	for _, s := range all {
		if members[s.pid] {
			server = append(server, s)
		}
	}
	return server, all, nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.0f", d.Seconds()) }

// report prints the tops, and writes them and the stacks into files.
func (r *recorder) report(ctx context.Context, out io.Writer) error {
	samples, _, err := r.script(ctx, "cpu.data", "")
	if err != nil {
		return err
	}
	if len(samples) == 0 {
		return errors.New("perf has no sample of the server")
	}
	var text strings.Builder
	writeOnCPU(&text, samples, float64(len(samples))/profileHertz/profileCPU.Seconds())
	if err := os.WriteFile(r.file("cpu.folded"), []byte(folded(samples)), 0o644); err != nil {
		return err
	}
	if r.noSwitches == nil {
		samples, all, err := r.script(ctx, "blocked.data", ",trace")
		if err != nil {
			return err
		}
		writeBlocked(&text, blockedTimes(all, pidsOf(samples)), profileBlocked)
	} else {
		fmt.Fprintf(&text, "\nOff CPU: not recorded (%v)\n", r.noSwitches)
	}
	if err := os.WriteFile(r.file("top.txt"), []byte(text.String()), 0o644); err != nil {
		return err
	}
	_, err = io.WriteString(out, text.String())
	return err
}

func (r *recorder) run(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, r.perf, args...)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("perf %s: %w: %s", args[0], err, bytes.TrimSpace(errs.Bytes()))
	}
	return out.Bytes(), nil
}
