// Package ipc is what the master and its workers share: a channel for messages
// and memory for counters.
//
//	        master                                     worker
//	┌───────────────────────┐   SEQPACKET pair   ┌───────────────────────┐
//	│ Channel               │◄──────────────────►│ Channel       (fd 3)  │
//	│   hello, drain, stop… │  one datagram      │   ready, drained…     │
//	│                       │  = one message     │                       │
//	├───────────────────────┤                    ├───────────────────────┤
//	│ Slot                  │    sealed memfd    │ Slot          (fd 5)  │
//	│   reads the counters, │◄── mmap, both ────►│   counts, beats,      │
//	│   lists the peers     │                    │   reads its peers     │
//	├───────────────────────┤                    ├───────────────────────┤
//	│ Scoreboard            │    sealed memfd    │ Scoreboard    (fd 4)  │
//	│   makes it            │   of all workers   │ [peer][peer][peer]…   │
//	│                       │                    │   writes its own,     │
//	│                       │                    │   reads its siblings  │
//	└───────────────────────┘                    └───────────────────────┘
//
// # The channel
//
// It carries what the other side must know for certain: a worker is ready, a
// drain begins, a drain has ended. Each worker has a socket pair of type
// SOCK_SEQPACKET: messages keep their borders, and when a process dies, however
// it dies, the other end reads EOF. A message is a JSON object; protocol.go draws
// the protocol. The channel guarantees:
//
//   - Send never waits: if the peer does not read, the error is ErrStuck.
//   - Everything that a process sent before it died is read before EOF.
//   - A datagram that is no message is a *ProtocolError, and the next message is
//     read as if nothing had happened.
//   - Unknown types and fields are ignored, so that two builds can talk during an
//     upgrade.
//   - A received descriptor is close-on-exec. Receive returns those that belong to
//     the message and closes all others.
//
// # The memory
//
// It carries what changes with every connection: heartbeat, counters, histograms.
// A write is an atomic addition and no system call, and the figures survive a
// worker that is killed.
//
// Only one worker and the master map a Slot, so a worker can give wrong figures
// for itself only, and the master ignores what is impossible. Every worker can
// write all of the Scoreboard, so a reader only delays an accept for a moment
// because of it. The size of all memory is sealed: no process can make another one
// fault.
//
// # What it does not do
//
// It does not log, decide or retry. It does not check whether a message makes
// sense at this moment: the receiver knows its own state. It does not
// authenticate, because both ends of a pair are inherited.
package ipc
