// Package master is the first process of a pre-fork server. It binds the sockets,
// starts the workers that inherit them, replaces those that exit, and does what
// signals and the control socket ask for.
//
// One goroutine, the owner loop in Master.run, owns all of its state. It waits for
// events, feeds each to the pure state machine in package policy, and applies the
// actions that come back:
//
//	signals ───────────┐
//	worker channels ───┤                 ┌──────────────┐
//	exit watchers ─────┼──► owner loop ──► policy.Step  │ pure
//	control requests ──┤        ▲        └──────┬───────┘
//	timer, sampling ───┘        └── actions ────┘
//	                                  │
//	             spawn, message, kill, bind, notify, log
//
// The owner loop never blocks. Configurations are read, addresses are bound and
// /proc is read on other goroutines; a message to a worker is sent without
// waiting; control clients wait on their own goroutines.
//
// # Descriptors
//
// Listening sockets are raw descriptors, non-blocking and close-on-exec. They are
// never wrapped in an os.File: its Fd method clears O_NONBLOCK on the description
// that all workers share, and they would all block in accept. A worker inherits
// copies at fixed numbers (see package ipc). All other descriptors close on exec.
//
// # Exits
//
// A worker is watched through a pidfd in Go's netpoller, which costs one goroutine
// and no thread. Only that process is reaped: waitpid(-1) would take the exits of
// processes that the embedding program started. As PID 1 or subreaper the master
// also reaps the orphans that it inherits.
//
// This package decides nothing: package policy does. It knows nothing about
// connections: package worker does. Master and workers share only the protocol and
// the shared memory of package ipc.
package master
