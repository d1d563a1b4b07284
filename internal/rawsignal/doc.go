// Package rawsignal catches signals without Go's runtime.
//
// Discard does nothing about them. It is between the two that package os/signal offers.
// An ignored signal stays ignored in each program that this process starts. A notified
// one costs two threads for the first, some futex calls for each, and a goroutine that
// reads them; a process that serves one connection notices that, and a process that
// forks itself must not have those threads. Here the kernel calls a function that
// returns at once, and exec sets the signal to its default. Count's function adds 1 to
// an eventfd before it returns.
//
// Package os/signal still works for these signals: signal.Notify replaces the
// function. Only a SIGPIPE that another process sends may not reach it. After
// signal.Stop the function is not installed again: the signal ends the process.
package rawsignal
