// Package worker is what runs in each process that a pre-fork master starts:
// the loop that takes connections, the Handlers that serve them, and the drain
// that lets them go. It is Python's socketserver, with the listener shared
// between processes.
//
//	 master                                            siblings
//	   │ channel, memory, crash file, listeners            │
//	┌──┼───────────────────────────────────────────────┐   │
//	│  ▼                                               │   │
//	│ listen ──orders──► loop ◄──── wait ──────────────┼───┴── listeners
//	│ (channel)          │ │ ▲                         │
//	│                    │ │ └─ freed ──────┐          │
//	│        accept one, │ │                │          │
//	│        verify      ▼ └──► memory      │          │
//	│                   Conn ──► handler ───┘          │
//	│                            Setup, Handle, Finish │
//	└──────────────────────────────────────────────────┘
//
// # Invariants
//
// One goroutine, the loop, decides everything: when to accept, when to stop,
// when all is over. It never waits for a handler, a peer or the master, so its
// heartbeat means something; only a hook that blocks can
// stop it, and the master notices that.
//
// A worker accepts nothing before it is told to, one connection a wake, and
// then goes to the end of the kernel's queue: workers take turns. One that
// holds clearly more than its siblings waits a moment (accept_gate.go). One that is
// full leaves the rest in the queue, where a sibling can take it.
//
// A connection's failure is its own. Panics of handlers and hooks, and
// runtime.Goexit in a handler, are caught; Finish runs if Setup succeeded, the
// place is freed and the connection closed whatever happens. What cannot be
// caught (a runtime fatal error, os.Exit) ends this process only, and the
// runtime's last words are in the crash file, which the master holds as well.
//
// A drain loses nobody who was let in. The listeners that no other generation
// serves are emptied before they are closed (drain.go); connections are served
// until they end, or their client has been silent for Config.DrainIdle; at the
// deadline first the handlers' contexts end and then the connections. A close
// never destroys an answer that is under way (conn_close.go).
//
// # Modes
//
// Sequential serves one connection at a time and reuses the process.
// Threading serves each on a goroutine. Forking takes exactly one in the life
// of the process, which the master replaces. All three are one code path: the
// modes differ in a limit and in what happens after the first connection. A
// Service, such as net/http's server, accepts for itself from a net.Listener
// that the loop fills, within the same limits.
//
// # Costs
//
// Config.ReadTimeout sets a runtime timer at each call, WriteTimeout now and then.
// IdleTimeout, HandlerTimeout and DrainIdle have no timers: the loop sweeps the
// connections at each tick, so they are late by up to a quarter of themselves,
// at most one tick (100 ms; half a second where nothing is going on), or a second
// if they are ten seconds and more. A connection costs an accept4, a fcntl and an epoll_ctl
// beside its own reads and writes, and an epoll_ctl pair for the turn at the
// listener; net spends a getsockname and four setsockopts instead, which the
// master has saved by setting the options on the listener.
//
// # What it does not do
//
// It binds nothing, spawns nothing and restarts nothing: those are the
// master's. It does not know the master's code, only its messages (package
// ipc). It does not limit a handler's memory or processor time, and it cannot
// end a handler that ignores both its context and its closed connection, other
// than by exiting, which it does a second after the deadline.
package worker
