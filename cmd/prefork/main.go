package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"prefork"
	"prefork/cmd/prefork/internal/config"
)

func main() {
	if prefork.IsWorker() {
		os.Exit(serveAsWorker())
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// serveAsWorker runs as a worker. The settings that the master sends name the
// handler.
func serveAsWorker() int {
	s := &prefork.Server{Configure: config.Configure, Version: build().String()}
	return prefork.ExitCode(s.Run(context.Background()))
}

// run runs a command line and returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	root := newRoot(stdout, stderr)
	root.SetArgs(protectNegative(args))
	err := misspelt(root, args)
	if err == nil {
		err = root.Execute()
	}
	if err == nil {
		return exitOK
	}
	// If standard error is broken the message is lost.
	_, _ = fmt.Fprintln(stderr, message(err))
	return exitStatus(err)
}
