// Package logs makes the log of a master or a worker: a zap logger that writes
// to a descriptor in the way its reader wants.
//
//	              format          reader              a line
//	            ┌─ console ─────► a person            15:04:05.000 INFO  worker ready  slot=2 pid=71
//	auto ───────┼─ json ────────► a file, a pipe      {"level":"info","ts":"…","msg":"worker ready",…}
//	(looks at   │
//	 the file)  └─ native ──────► the journal         MESSAGE=worker ready  slot=2 pid=71
//	                                                  PRIORITY=6, PREFORK_SLOT=2, PREFORK_PID=71, …
//
// The journal is recognised by JOURNAL_STREAM. Log lines go to its socket, with
// their fields as fields of the journal that can be searched. Whatever else is
// written to standard error goes over the stream, as do the lines if there is no
// socket: <6>{"level":"info",…}.
//
// All processes of a server write to one descriptor that they inherit, so the
// package keeps these promises:
//
//   - A line is one write(2), straight to the descriptor: nothing is buffered
//     that a crash would lose, and the lines of processes do not mix, up to
//     PIPE_BUF bytes (4096) in a pipe and without limit in a file opened with
//     O_APPEND.
//   - What is logged cannot forge a line or drive a terminal: control characters
//     and line breaks in messages, keys and values are escaped or set off.
//   - A log that nobody reads does not stop the server. A write that blocks waits
//     a moment, then its line is lost, and so are the next ones until there is
//     room again; then a line says how many. The same is true of a file system
//     that does not answer.
//   - A reader that has closed its end does not kill the process with SIGPIPE.
//   - The descriptor may be replaced with dup2(2) at any time, as a log rotation
//     does: the next line goes to the new file.
//
// On the console durations are written as in Go. In JSON they are numbers of
// seconds, and their keys end in _s, as in all JSON of the server.
//
// The package does not rotate, sample or compress.
package logs
