// Package policy decides what the master does. It is a state machine without
// mechanism: an event goes in, actions come out, and the machine itself has no
// clock, no descriptor, no goroutine and no randomness but a seeded generator.
// The same events at the same times give the same actions, so that a log of
// events can be replayed, and a million invented ones can be run through it in
// a test.
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
// A generation is one configuration with its pool of workers. At most one
// serves (it is committed), one more may be coming, one may be held: that is
// the predecessor of a generation on probation, which has stopped accepting but
// is kept whole so that it can take over again at once. All others are leaving,
// and are retired when their last worker is gone.
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
//   - No action names a worker before its Spawned or after its end. Whoever is
//     to leave before it was spawned is told so when it is.
//   - The serving generation is never held, drained or stopped as a whole before
//     another is committed or the server ends.
//   - Whoever is draining or exiting has a deadline, past which it is killed.
//   - After Step, Wake is in the future: the machine never spins.
//   - A crash is answered by one replacement, which waits longer the faster and
//     the more often workers die. Exits that the machine asked for cost nothing.
//   - A worker that says that it leaves is replaced before it has gone, unless it
//     left as soon as it came.
//
// # How it is built
//
// Step hands the event to its handler, then lets time do its work (advance,
// expire), then settles: every generation that should have workers is brought
// towards its size, those that are over are retired. Handlers therefore say what
// has become of one worker and seldom what to do about the pool.
//
// # What it does not do
//
// It knows no listener and no connection: which sockets two generations share is
// the master's to know, and Quiesce, Commit and Retire name generations only. It
// trusts the master to answer each Spawn with Spawned or SpawnFailed, each
// Spawned with one Exited in the end, and each Load with one Loaded at most,
// before its Verdict.
//
// A Machine belongs to one goroutine.
package policy
