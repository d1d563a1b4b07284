// Command prefork is a pre-forking TCP and Unix-socket server, and the client
// that steers it.
//
//	prefork serve ──────► Server.Run: the master, which starts this program
//	     ▲                again as its workers
//	     │ control socket
//	prefork status, reload, drain, stop, scale, recycle, log-level
//
// A worker is this program too, and must be ready in milliseconds. So main first
// checks whether it is one, and a worker reads no flags and no files: its
// settings arrive over its channel.
//
// Exit status: 0 done, 1 it failed, 2 the command line is wrong, 78 the
// configuration is wrong. 78 (EX_CONFIG of sysexits.h) tells a service manager
// that another try is pointless.
//
// This package has the flags, the help and the output. internal/config has the
// configuration, internal/control finds a running server and talks to it, and the
// library does what a server does.
package main
