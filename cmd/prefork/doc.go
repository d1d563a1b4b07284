// Command prefork is a pre-forking TCP and Unix-socket server, and the client
// that steers it.
//
//	prefork serve ──────► Server.Run: the master, which starts this program
//	     ▲                again as its workers
//	     │ control socket
//	prefork status, reload, drain, stop, scale, recycle, log-level
//
// A worker is this program too, and must be ready in milliseconds: main asks
// first whether it is one, and a worker never comes near flags and files. What
// it serves arrives over its channel.
//
// Exit status: 0 done, 1 it failed, 2 the command line is wrong, 78 the
// configuration is wrong. 78 (EX_CONFIG of sysexits.h) tells a service manager
// that another try is pointless.
//
// Everything here is about words: what people type, and what they are told.
// The configuration is internal/config's, the search for a running server and
// the talk with it internal/control's; what a server does is the library's.
package main
