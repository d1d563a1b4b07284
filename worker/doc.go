// Package worker runs in each process that a pre-fork master starts: it accepts
// connections, calls Handlers, and drains. It is Python's socketserver, with
// listeners that processes share.
//
//	 master                                            siblings
//	   │ channel, memory, crash file, listeners            │
//	┌──┼───────────────────────────────────────────────┐   │
//	│  ▼                                               │   │
//	│ listen ──orders──► loop ◄──── wait ──────────────┼───┴── listeners
//	│ (channel)          │ │ ▲                         │
//	│                    │ │ └─ wakeLoop ───┐          │
//	│        accept one, │ │                │          │
//	│        verify      ▼ └──► memory      │          │
//	│                   Conn ──► handler ───┘          │
//	│                            Setup, Handle, Finish │
//	└──────────────────────────────────────────────────┘
//
// # Invariants
//
// One goroutine, the loop, decides when to accept, when to drain and when to end.
// It never waits for a handler, a client or the master. Only a hook that blocks, or a
// handler in mode Event, stops it; the heartbeat stops as well, and the master sees that.
//
// A worker accepts nothing before its first Resume. It accepts one connection for
// each wake-up, and after a few it joins the end of the kernel's queue of waiters, so
// workers take turns (accept.go). If it has more connections that stay than its siblings
// it waits a moment (accept_gate.go). If it is full, connections stay in the listener's queue, where a
// sibling can accept them.
//
// A failure costs one connection. Panics of handlers and hooks, and runtime.Goexit
// in a handler, are caught. Finish runs if Setup succeeded, and the connection is
// closed in any case. A runtime fatal error or os.Exit ends this process only; the
// runtime writes the reason into the crash file, which the master reads.
//
// A drain loses no connection. Listeners that no other generation serves are emptied
// before they are closed (drain.go). Connections are served until they end, or until
// their client has been silent for Config.DrainIdle. At the deadline the handlers'
// contexts end first and the connections are closed next. A close never destroys an
// answer that is under way (conn_close.go).
//
// # Modes
//
// Sequential serves one connection at a time, Threading each on a goroutine, and
// Forking one in the life of the process, which the master then replaces. They
// differ only in a limit, and in what happens after the first connection. A Service,
// such as net/http's server, accepts from a net.Listener that the loop fills, within
// the same limits.
//
// Event has no goroutine for a connection: the loop itself calls an EventHandler with
// the bytes that have arrived. That costs the least memory and processor time, and it
// is right if each request is answered from memory. A handler must not wait there: for
// a lock that is held for long, a file, a name, a database, or another goroutine. What
// has to wait runs on a goroutine of the handler, which answers through Conn.Wake.
// Messages and a split function, such as SplitLines, cut the bytes into messages. The
// memory of a connection is Config.MaxMessage of an incomplete message and
// Config.MaxUnsent of answers at most, and nothing between two requests. If a request
// may wait, or if its code is easier to write from top to bottom, use Threading.
//
// # Forked workers
//
// In mode Forking the master may have a zygote: a process that sets up the program once
// and forks the workers (package livefork has the conditions). Configure, WorkerStart,
// BaseContext and WorkerStop run in the zygote, and AfterFork in each worker. What main and
// these functions prepared is shared, copy-on-write. That saves most of the cost of a
// process, and it has a price for handlers:
//
//   - A forked worker has one P, and nobody preempts a running goroutine. A loop that
//     computes stops the worker's timeouts and its heartbeat until it ends or calls
//     runtime.Gosched.
//   - A goroutine in a blocking system call stops the others: a read from a slow disk, a
//     call into C, os.Process.Wait. Connections, pipes and sockets of Go's packages do not
//     block. Call Await before the Wait of a program that the handler has started, or the
//     goroutines that read its output do not run. A worker that stands still for longer
//     than worker_timeout is killed.
//   - GOMAXPROCS must stay 1, and syscall.AllThreadsSyscall, on which syscall.Setuid relies,
//     hangs.
//   - All workers of a zygote have the same state of math/rand and math/rand/v2, the same
//     seeds of maps, and the same addresses in memory. RandomSeed helps with the first;
//     crypto/rand is not affected. Who fears attacks on memory should execute workers: each
//     has its own addresses, as OpenSSH wants it.
//   - WorkerStop does not wait for the workers. It must not destroy what they share with
//     the zygote, such as files.
//   - An open file, a socket or a connection to a database that was opened before the fork
//     is shared by all workers. AfterFork must replace one that two cannot use.
//
// A goroutine that was started before the fork is not there. The zygote refuses to fork
// with one, and the master executes the workers then.
//
// # Costs
//
// Config.ReadTimeout sets a timer in each Read, WriteTimeout in some writes.
// IdleTimeout, HandlerTimeout and DrainIdle have no timers: the loop checks all
// connections each tick. So they are late by a quarter of themselves at most, and by
// one tick at most (100 ms; half a second in an idle server), or by a second if they
// are ten seconds and more. A connection costs an accept4, a fcntl and an epoll_ctl,
// beside its reads and writes; in mode Event an accept4 and two epoll_ctl. A turn at the
// listener costs two more epoll_ctl. Package net also needs a getsockname and four
// setsockopts; here the master has set the options on the listener.
//
// # What it does not do
//
// It binds nothing and starts no process: the master does. It knows only the
// master's messages (package ipc). It does not limit the memory or processor time of
// a handler. A handler that ignores both its context and its closed connection ends
// with the process, a second after the deadline.
package worker
