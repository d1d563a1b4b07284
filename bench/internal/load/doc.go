// Package load is the client of the benchmarks: a process of its own, one
// thread, that keeps a number of exchanges in flight and checks every reply to
// the byte. It is prefork's load generator, internal/load. So that no figure
// depends on that engine alone, a client in C (peers/cload.c) does the same job
// over the same protocol:
//
//	parent                      load process
//	  │── job ─────────────────────►│ warms the server up
//	  │◄───────────────────── ready │
//	  │ reads the server's CPU      │
//	  │── go ──────────────────────►│ connects; exchanges until the window
//	  │◄──────────────────── report │ ends, and until every reply is in
//	  │ reads the server's CPU      │
//	  │── EOF ─────────────────────►│ exits
//
// Both directions are lines of JSON, over standard input and output; the client
// in C has its job as arguments. The program calls Main first, which does not
// return in the load process.
//
// The client is closed: each connection sends its next line when it has the
// last reply. It measures what a server costs and how fast these clients were
// served, not how a server behaves when more comes in than goes out.
//
// A wrong, short, long or missing reply, and a refused or reset connection,
// makes the run an error: a server that fails once has no figure.
package load
