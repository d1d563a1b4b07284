// Package load is the client of the benchmarks: a process of its own, one
// thread, that keeps a number of exchanges in flight and checks every reply to
// the byte. It is prefork's load generator, internal/load. So that no figure
// depends on that engine alone, a client in C (peers/cload.c) does the same job
// over the same protocol:
//
//	parent                      load process
//	  │── job ─────────────────────►│ Connect: warms the server up; Hold: connects
//	  │◄───────────────────── ready │
//	  │ reads the server's CPU      │
//	  │── go ──────────────────────►│ exchanges until the window ends, and until
//	  │◄──────────────────── report │ every reply is in
//	  │ reads the server's CPU      │
//	  │── EOF ─────────────────────►│ exits
//
// Both directions are lines of JSON, over standard input and output; the client
// in C has its job as arguments. The program calls Main first, which does not
// return in the load process.
//
// Persistent connections are warmed up within the run and stay: the load process
// itself reads the server's CPU time when the window begins and when it ends. The
// client in C keeps its connections from the warm-up to the window, too.
//
// Without a rate the client is closed: each connection sends its next line when it has
// the last reply. That measures what a server costs and how fast these clients were
// served, not how a server behaves when more comes in than goes out.
//
// A wrong, short, long or missing reply, and a refused or reset connection,
// makes the run an error: a server that fails once has no figure.
package load
