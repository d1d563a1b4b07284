package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// bench is one run. It is used by one goroutine, on the main thread.
type bench struct {
	plan
	progress io.Writer
	report   report
	run      provenance

	dir      string            // of this run, removed at its end
	site     site              // what the HTTP servers serve
	programs map[string]string // paths by name; those that could not be had are in missing
	missing  map[string]string // why, in words
}

// suite begins a suite of this run.
func (b *bench) suite(name, title, unit, main string) suite {
	return suite{Name: name, Title: title, Unit: unit, Main: main, Rounds: b.rounds, Run: b.run}
}

// The programs that are built.
const (
	cepollProgram    = "cepoll"
	curingProgram    = "curing"
	cforkProgram     = "cfork"
	cemptyProgram    = "cempty"
	cloadProgram     = "cload"
	netProgram       = "netupper"
	httpProgram      = "nethttp"
	emptyProgram     = "empty"
	preparedProgram  = "preparedupper"
	gnetProgram      = "gnetupper"
	netpollProgram   = "netpollupper"
	fasthttpProgram  = "fasthttpd"
	fiberProgram     = "fiberd"
	pythonProgram    = "python3"
	nginxProgram     = "nginx"
	wrkProgram       = "wrk"
	preforkEventMode = "prefork --mode event"
)

// need returns why a program is not there, or "".
func (b *bench) need(program string) string { return b.missing[program] }

// build makes or finds the programs. Only prefork and the peers of this module must
// be there.
func (b *bench) build(ctx context.Context) error {
	if _, err := os.Stat("peers/python.py"); err != nil {
		return fmt.Errorf("run it in the directory bench: %w", err)
	}
	var err error
	if b.dir, err = os.MkdirTemp("", "prefork-bench"); err != nil {
		return err
	}
	b.programs, b.missing = map[string]string{}, map[string]string{}
	if b.prefork == "" {
		b.prefork = filepath.Join(b.dir, "prefork")
		if err := tool(ctx, "..", "go", "build", "-o", b.prefork, "./cmd/prefork"); err != nil {
			return err
		}
	}
	for _, name := range []string{netProgram, httpProgram, emptyProgram, preparedProgram} {
		if err := b.buildGo(ctx, ".", name, "./peers/"+name); err != nil {
			return err
		}
	}
	for _, name := range []string{gnetProgram, netpollProgram, fasthttpProgram, fiberProgram} {
		if err := b.buildGo(ctx, "peers/go", name, "./"+name); err != nil {
			b.missing[name] = "it was not built: " + lastLine(err)
		}
	}
	if err := b.buildC(ctx); err != nil {
		return err
	}
	for _, name := range []string{pythonProgram, nginxProgram, wrkProgram} {
		path, err := exec.LookPath(name)
		if err != nil {
			b.missing[name] = "no " + name + " on this machine"
		}
		b.programs[name] = path
	}
	b.checkEventMode(ctx)
	b.site, err = makeSite(b.dir)
	return err
}

// checkEventMode finds out whether this prefork has the mode.
func (b *bench) checkEventMode(ctx context.Context) {
	s, err := b.startPrefork(ctx, "event", "--mode", "event", "--workers", "1")
	if err != nil {
		b.missing[preforkEventMode] = "this prefork says \"" + lastLine(err) + "\""
		return
	}
	s.stop()
}

func (b *bench) buildGo(ctx context.Context, dir, name, pkg string) error {
	b.programs[name] = filepath.Join(b.dir, name)
	return tool(ctx, dir, "go", "build", "-o", b.programs[name], pkg)
}

// buildC builds the programs in C, if there is a compiler.
func (b *bench) buildC(ctx context.Context) error {
	programs := map[string][]string{
		cepollProgram: nil, cloadProgram: nil, cforkProgram: {"-static"}, cemptyProgram: {"-static"}, curingProgram: {"-luring"},
	}
	compiler := ""
	for _, name := range []string{"gcc", "cc", "clang"} {
		if path, err := exec.LookPath(name); err == nil {
			compiler = path
			break
		}
	}
	for name, flags := range programs {
		if compiler == "" {
			b.missing[name] = "no C compiler on this machine"
			continue
		}
		b.programs[name] = filepath.Join(b.dir, name)
		args := []string{"-O2", "-Wall", "-Wextra", "-o", b.programs[name], filepath.Join("peers", name+".c")}
		err := tool(ctx, ".", compiler, append(args, flags...)...)
		switch {
		case err != nil && name == curingProgram:
			b.missing[name] = "it was not built, which needs liburing: " + lastLine(err)
		case err != nil:
			return err
		}
	}
	return nil
}

// lastLine is the last line of an error with a program's output.
func lastLine(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return lines[len(lines)-1]
}

// close removes what the run left on disk.
func (b *bench) close() {
	if b.dir != "" {
		_ = os.RemoveAll(b.dir) // in the temporary directory: the system's to clean
	}
}

// tool runs a build tool in a directory.
func tool(ctx context.Context, dir, name string, args ...string) error {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = dir
	// As `make` builds the daemon, and the Go peers likewise.
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	err := command.Run()
	if err != nil {
		return fmt.Errorf("%v: %w\n%s", command.Args, err, out.Bytes())
	}
	return nil
}
