// Package integration tests the whole server: the built programs with real
// signals, sockets and clients, and servers that misbehave on command. It uses
// no fakes. What can be tested without a process is tested in the packages
// themselves.
//
//	test ──starts──► testserver (or prefork, or an example) ──► workers
//	  │                   ▲ signals, control socket, config file
//	  ├──── controls ─────┘
//	  ├──── loads ─────────── the engine of prefork load, which counts every answer (load.go)
//	  └──── inspects ──────── status, log, /proc, screen (status.go, log.go, proc.go, pty.go),
//	                          metrics and page (observe.go, browser.go)
//
// The promises, and where each is tested:
//
//	no connection is dropped         reload_test.go, scale_test.go, drain_test.go
//	a failed reload is rolled back   rollback_test.go
//	a crash affects one worker       crash_test.go, modes_test.go
//	no orphans, no zombies, no leaks crash_test.go, orphan_test.go, container_test.go
//	the operator can see everything  signal_test.go, instance_test.go, command_test.go, runbook_test.go,
//	                                 top_test.go
//	counters never decrease          metrics_test.go, prometheus_test.go
//	the status page is correct       page_test.go
//	connections are spread evenly    balance_test.go
//	imports follow the arrows        architecture_test.go
//	the examples work                examples_test.go
//
// The helpers have three rules. A test waits for an event, a status or a log
// line, never for time to pass; when Wait fails, it reports what it waited for
// and what it saw last. A load classifies every connection as its client saw it
// and keeps the first examples of each failure. Every server is killed at the
// end of its test, and its log is shown if the test failed.
//
// The tests need Go and no privileges. A test that needs more is skipped with a
// reason. With -short the tests repeat less. PREFORK_TEST_RACE=1 builds the
// programs with the race detector.
package integration
