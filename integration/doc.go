// Package integration holds the tests of the whole: the built programs, real
// signals, real sockets, real clients, and servers that misbehave on command.
// Nothing in it is a fake. What can be shown without a process is shown in the
// rooms themselves.
//
//	test ──starts──► testserver (or prefork, or an example) ──► workers
//	  │                   ▲ signals, control socket, config file
//	  ├──── drives ───────┘
//	  ├──── loads ─────────── the engine of prefork load, which tallies every answer (load.go)
//	  └──── inspects ──────── status, log, /proc, screen (status.go, log.go, proc.go, pty.go),
//	                          metrics and page (observe.go, browser.go)
//
// The promises, and where each is shown:
//
//	nothing is dropped               reload_test.go, scale_test.go, drain_test.go
//	the old serves until proven      rollback_test.go
//	one failure stays one failure    crash_test.go, modes_test.go
//	no orphans, no zombies, no leaks crash_test.go, orphan_test.go, container_test.go
//	the operator always knows        signal_test.go, instance_test.go, command_test.go, runbook_test.go,
//	                                 top_test.go
//	counters never go back           metrics_test.go, prometheus_test.go
//	the page shows what is           page_test.go
//	work is spread                   balance_test.go
//	the arrows                       architecture_test.go
//	the examples are true            examples_test.go
//
// The harness has three rules. A test waits for an event, a status or a log
// line, never for time to pass; Wait says what it waited for and what it saw.
// A client judges every connection by the client's own eyes and keeps the
// first examples of each failure. Every server started is killed at the end of
// its test, whatever happened, and its log is shown if the test failed.
//
// The tests need Go and no privileges; those that need more say so and skip.
// With -short they repeat less. PREFORK_TEST_RACE=1 builds the programs with
// the race detector.
package integration
