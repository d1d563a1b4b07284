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
// The journal is recognised by JOURNAL_STREAM. What is logged goes to its
// socket, with the fields as the journal's own, so that they can be searched;
// what the runtime and others write to standard error goes over the stream as
// ever. Without the socket the lines go there too: <6>{"level":"info",…}.
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
//   - A log that nobody reads does not stop the server. A write that cannot go
//     on waits a moment, then its line is lost; so is each one after it until
//     the reader is back, when a line says how many were. The same is true of a
//     file system that does not answer.
//   - A reader that has gone does not kill the process with SIGPIPE.
//   - The descriptor may be replaced with dup2(2) at any time, as a log rotation
//     does: the next line goes to the new file.
//
// Durations read as people write them on the console. In JSON they are numbers
// of seconds, and their keys end in _s, like everything else that the server
// says in JSON.
//
// The package does not rotate, sample, compress or send; it does not decide
// what is worth a line.
package logs
