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

// serveAsWorker runs one of a master's workers. Which handler it serves stands
// in the settings that the master sends.
func serveAsWorker() int {
	s := &prefork.Server{Configure: config.Configure, Version: build().String()}
	return prefork.ExitCode(s.Run(context.Background()))
}

// run is the whole command, less the process around it: it returns the exit
// status.
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
	// Where standard error is broken there is nobody left to tell.
	_, _ = fmt.Fprintln(stderr, message(err))
	return exitStatus(err)
}
