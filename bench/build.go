package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// bench is one run. It is used by one goroutine, on the main thread.
type bench struct {
	plan
	progress io.Writer
	report   report
	run      provenance

	dir      string // of this run, removed at its end
	netupper string
	cepoll   string // "" if there is no C compiler, as is the next
	cload    string
	python   string // "" if there is none
}

// suite begins a suite of this run.
func (b *bench) suite(name, title, unit, main string) suite {
	return suite{Name: name, Title: title, Unit: unit, Main: main, Rounds: b.rounds, Run: b.run}
}

// build makes or finds the programs. Only those that Go builds must be there.
func (b *bench) build(ctx context.Context) error {
	var err error
	if _, err = os.Stat("peers/forking.py"); err != nil {
		return fmt.Errorf("run it in the directory bench: %w", err)
	}
	if b.dir, err = os.MkdirTemp("", "prefork-bench"); err != nil {
		return err
	}
	b.netupper = filepath.Join(b.dir, "netupper")
	if err := tool(ctx, ".", "go", "build", "-o", b.netupper, "./peers/netupper"); err != nil {
		return err
	}
	if b.prefork == "" {
		b.prefork = filepath.Join(b.dir, "prefork")
		if err := tool(ctx, "..", "go", "build", "-o", b.prefork, "./cmd/prefork"); err != nil {
			return err
		}
	}
	if err := b.buildC(ctx); err != nil {
		return err
	}
	if b.python, err = exec.LookPath("python3"); err != nil {
		b.python = ""
	}
	return nil
}

// buildC builds the controls, if there is a compiler.
func (b *bench) buildC(ctx context.Context) error {
	for _, compiler := range []string{"gcc", "cc", "clang"} {
		if _, err := exec.LookPath(compiler); err != nil {
			continue
		}
		b.cepoll, b.cload = filepath.Join(b.dir, "cepoll"), filepath.Join(b.dir, "cload")
		for _, program := range []string{b.cepoll, b.cload} {
			source := filepath.Join("peers", filepath.Base(program)+".c")
			if err := tool(ctx, ".", compiler, "-O2", "-Wall", "-Wextra", "-o", program, source); err != nil {
				return err
			}
		}
		return nil
	}
	return nil
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
	// As `make` builds the daemon, and the Go peer likewise.
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	err := command.Run()
	if err != nil {
		return fmt.Errorf("%v: %w\n%s", command.Args, err, out.Bytes())
	}
	return nil
}
