// The testserver is a prefork server that misbehaves on command. The tests of
// package integration build and run it.
//
// The tests control it in two ways. The configuration file (package testconf),
// which is read again on every reload, controls how the workers start. The lines
// that a client sends control what a handler does: see commands.go.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"prefork"
	"prefork/integration/testconf"
	"prefork/worker"
)

func main() {
	if prefork.IsWorker() {
		// The file may have changed since the master read it, so a worker uses
		// only its settings.
		finish((&prefork.Server{Configure: configure, Version: version}).Run(context.Background()))
	}
	config := flag.String("config", "", "the configuration `file`")
	exitOnEOF := flag.Bool("exit-on-eof", false, "exit at the end of standard input, so that no server outlives its test run")
	subreaper := flag.Bool("subreaper", false, "adopt the orphans of the workers")
	flag.Parse()
	if *exitOnEOF {
		go killAtEOF()
	}
	if *subreaper {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			finish(fmt.Errorf("become a subreaper: %w", err))
		}
	}
	srv, err := load(*config)
	if err != nil {
		finish(err)
	}
	finish(srv.Run(context.Background()))
}

const version = "testserver"

func finish(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "testserver:", err)
	}
	os.Exit(prefork.ExitCode(err))
}

// killAtEOF kills this process at the end of standard input.
func killAtEOF() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// load reads the file and builds the server that it describes.
func load(path string) (*prefork.Server, error) {
	c, err := testconf.Read(path)
	if err != nil {
		return nil, err
	}
	settings, err := json.Marshal(c.Program)
	if err != nil {
		return nil, fmt.Errorf("encode settings: %w", err)
	}
	return &prefork.Server{
		Configure: configure,
		Version:   version,
		Config: prefork.Config{
			Listen:           c.Listen,
			Settings:         settings,
			Mode:             worker.Mode(c.Mode),
			Spawn:            prefork.Spawn(c.Spawn),
			Workers:          c.Workers,
			MaxWorkers:       c.MaxWorkers,
			RequestQueueSize: c.Backlog,
			LogLevel:         c.LogLevel,
			PollInterval:     c.PollInterval,
			Limits: prefork.Limits{
				MaxConnections: c.MaxConnections,
				MaxChildren:    c.MaxChildren,
				MinSpare:       c.MinSpare,
				MaxSpare:       c.MaxSpare,
				CrashBudget:    c.CrashBudget,
			},
			Timeouts: prefork.Timeouts{
				DrainIdle:     c.DrainIdle,
				DrainTimeout:  c.DrainTimeout,
				LameDuck:      c.LameDuck,
				WorkerTimeout: c.WorkerTimeout,
			},
			Rollout: prefork.Rollout{
				StartTimeout:      c.StartTimeout,
				Probation:         c.Probation,
				MaxOldGenerations: c.MaxOldGenerations,
			},
			Recycle: prefork.Recycle{Connections: c.RecycleConnections, RSS: c.RecycleRSS},
		},
		Reload: func(context.Context) (*prefork.Config, error) {
			next, err := load(path)
			if err != nil {
				return nil, err
			}
			return &next.Config, nil
		},

		Control:   c.Control,
		PIDFile:   c.PIDFile,
		LogFile:   c.LogFile,
		LogFormat: "json",
	}, nil
}
