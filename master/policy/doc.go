// Package policy decides what the master does. It is a state machine without
// mechanism: an event goes in, actions come out, and the machine has no clock, no
// descriptor, no goroutine, and no randomness except a seeded generator. The same
// events at the same times give the same actions, so a log of events can be
// replayed, and a test can run a million random ones.
//
//	             Boot                    Reload                all ready
//	(new) ─────► booting ────► running ◄────────► reloading ────► probation
//	               │ all ready    │  ▲  refused, failed              │
//	               │              │  └───────────────────────────────┘
//	          gave │        Drain │     held: the old drains
//	            up │              ▼     broken: the old accepts again
//	               │           draining ────────────┐
//	               │              │ deadline,        │ none left
//	               ▼              ▼ second Drain     ▼
//	             killing ◄────────┘            ──► stopped
//
// A generation is a configuration with its pool of workers. At most one serves (it
// is committed), one may be coming, and one may be held: the predecessor of a
// generation on probation, which accepts nothing and can take over again at once.
// All others are leaving, and are retired when their last worker is gone.
//
//	coming ──commit──► serving ──commit of another──► held ──► leaving ──► retired
//	   └── failed ────────┼───────────────────────────────────────▲
//	                      └── rolled back ────────────────────────┘
//
// A worker goes one way, holding aside:
//
//	starting ──► ready ⇄ busy ──► draining ──► exiting ──► gone
//
// # Invariants
//
//   - A slot has at most one worker, from Spawn until Exited or SpawnFailed.
//   - No action names a worker before its Spawned or after its end. A worker that
//     is stopped before its Spawned gets StopWorker after it.
//   - The serving generation is never held, drained or stopped as a whole before
//     another one is committed or the server ends.
//   - A worker that drains or exits has a deadline, after which it is killed.
//   - After Step, Wake is in the future: the machine never spins.
//   - A crash leads to one replacement, which waits longer the faster and the more
//     often workers die. Exits that the machine wanted cost nothing.
//   - A worker that leaves is replaced before its exit, unless it left soon after
//     its start, or too many such workers do not exit.
//   - Each Request has one Answer, unless it is cancelled.
//
// # Structure
//
// Step calls the handler of the event, then handles deadlines (advance, expire),
// then settles: it brings every generation towards its size and retires those that
// are over. So a handler changes one worker, and seldom the pool.
//
// The machine knows no listener and no connection. Quiesce, Commit and Retire name
// generations, and the master knows which sockets they share. The machine expects
// the master to answer each Spawn with Spawned or SpawnFailed, each Spawned with
// one Exited in the end, and each Load with one Loaded at most, before its Verdict.
//
// A Machine belongs to one goroutine.
package policy
