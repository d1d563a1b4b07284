package worker

import (
	"errors"
	"fmt"
)

// The exit statuses in an *ExitError.
const (
	ExitFailure = 1  // another try may work
	ExitConfig  = 78 // EX_CONFIG: another try would fail as well
)

// ExitError is the error of Run.
type ExitError struct {
	Code int // the exit status
	Err  error
}

// Error returns the cause's text.
func (e *ExitError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ExitError) Unwrap() error { return e.Err }

// failure keeps the code of an *ExitError that the program returned.
func failure(err error) *ExitError {
	exit := &ExitError{Code: ExitFailure, Err: err}
	if inner, ok := errors.AsType[*ExitError](err); ok {
		exit.Code = inner.Code
	}
	return exit
}

func configuration(err error) *ExitError { return &ExitError{Code: ExitConfig, Err: err} }

// PanicError is a panic in a handler or a hook.
type PanicError struct {
	Value any    // the argument of panic
	Stack []byte // of the goroutine, as runtime/debug prints it
}

// Error shows the value, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// ErrGoexit is the error that HandleError gets for a handler that ended its goroutine
// with runtime.Goexit.
var ErrGoexit = errors.New("handler called runtime.Goexit")

// The causes of a handler's context.
var (
	ErrDrainDeadline = errors.New("drain deadline passed")
	ErrStopped       = errors.New("worker was stopped") // at once, without a drain
)
