package main

import (
	"errors"

	"prefork"
	"prefork/cmd/prefork/internal/config"
	"prefork/cmd/prefork/internal/human"
)

// The exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitConfig = 78 // EX_CONFIG
)

// usageError is an invalid command line; `command --help` explains it.
type usageError struct {
	command string
	err     error
}

// Error returns the problem and where to read on.
func (e *usageError) Error() string {
	return e.err.Error() + "\nsee: " + e.command + " --help"
}

// Unwrap returns the problem.
func (e *usageError) Unwrap() error { return e.err }

func exitStatus(err error) int {
	var usage *usageError
	var problems config.Problems
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &problems) && problems.Usage():
		return exitUsage
	case errors.As(err, &problems):
		return exitConfig
	}
	return prefork.ExitCode(err)
}

// message is what is printed to standard error. Problems of a file have no prefix,
// so that editors and other tools find `file:line:` at the start of a line.
func message(err error) string {
	var problems config.Problems
	if errors.As(err, &problems) && !problems.Usage() {
		return human.Clean(problems.Error())
	}
	return "prefork: " + human.Clean(err.Error())
}
