// Package rawsignal catches signals and does nothing about them.
//
// It is between the two that package os/signal offers. An ignored signal stays
// ignored in each program that this process starts. A notified one costs two threads
// for the first, some futex calls for each, and a goroutine that reads them; a
// process that serves one connection notices that. Here the kernel calls a function
// that returns at once, and exec sets the signal to its default.
//
// Package os/signal still works for these signals: signal.Notify replaces the
// function. Only a SIGPIPE that another process sends may not reach it. After
// signal.Stop the signal is not discarded any more: it ends the process.
package rawsignal
