// Package load is the client of the benchmarks: a process of its own, one
// thread over raw epoll, that keeps a number of exchanges in flight and checks
// every reply to the byte.
//
//	parent                      load process
//	  │── job ─────────────────────►│ connects, warms up
//	  │◄───────────────────── ready │
//	  │ reads the server's CPU      │
//	  │── go ──────────────────────►│ exchanges until the window ends,
//	  │◄──────────────────── report │ and until every reply is in
//	  │ reads the server's CPU      │
//	  │── EOF ─────────────────────►│ closes its connections, exits
//
// Both directions are lines of JSON, over standard input and output. The
// program calls Main first thing, which takes over in the load process.
//
// The client is closed: each connection sends its next line when it has the
// last reply. It measures what a server costs and how fast these clients were
// served, not how a server behaves when more comes in than goes out.
//
// A wrong, short, long or missing reply, and a refused or reset connection,
// ends the run with an error. There is no rate of failures to report: a server
// that fails once has no figure.
package load
