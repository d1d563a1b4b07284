// Package master is the first process of a pre-fork server: it binds the
// sockets, starts the workers that inherit them, replaces those that die, and
// carries out what signals and the control socket ask for.
//
// One goroutine, the owner loop in Master.run, owns all of its state. It
// waits for events, feeds each to the pure state machine in package policy,
// and applies the actions that come back:
//
//	signals ───────────┐
//	worker channels ───┤                 ┌──────────────┐
//	exit watchers ─────┼──► owner loop ──► policy.Step  │ pure
//	control requests ──┤        ▲        └──────┬───────┘
//	timer, sampling ───┘        └── actions ────┘
//	                                  │
//	             spawn, message, kill, bind, notify, log
//
// Nothing that may wait happens on the owner loop: configurations are read
// and addresses are bound on a goroutine of their own, messages to workers
// are sent without waiting (a channel that stays full is evidence of a stuck
// worker), /proc is read and what a worker leaves behind is closed elsewhere, and
// control clients wait on their own goroutines.
//
// # Descriptors
//
// Listening sockets are raw descriptors that the master opened itself,
// non-blocking and close-on-exec. They are never wrapped in an os.File: its
// Fd method clears O_NONBLOCK on the description that all workers share, and
// they would all block in accept. A worker inherits copies at fixed numbers
// (see package ipc); everything else the master holds closes on exec.
//
// # Ends
//
// A worker is watched through a pidfd in Go's netpoller, so a waiting master
// costs one goroutine a worker and no thread. Only that process is reaped: never
// waitpid(-1), which would steal the exits of processes that the embedding
// program started. As PID 1 or subreaper the master also reaps the orphans
// that it inherits.
//
// What this package does not do: it decides nothing (package policy does) and
// knows nothing of connections (package worker does). The two processes share
// only the protocol and the shared memory of package ipc.
package master
