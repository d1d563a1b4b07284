// Package ipc is what the master and its workers share: a channel for words
// and memory for numbers.
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
// What must be known to have happened goes over the channel: a worker is
// ready, a drain begins, a drain has ended. Each worker has a socket pair of
// its own. It is of type SOCK_SEQPACKET, which keeps the borders of messages
// like a datagram socket and tells of the peer's end like a stream, so there
// is no framing to get out of step with and no heartbeat needed to learn that
// a process has gone: the kernel closes its descriptors, however it died.
//
// A message is a JSON object of a type and a body; the protocol is drawn above
// its types in protocol.go. Encode and Decode are pure. Descriptors travel
// beside a message as SCM_RIGHTS.
//
// The channel promises:
//
//   - Send never waits. A peer that does not read is hung, and who waits for it
//     hangs with it; ErrStuck is the evidence instead.
//   - Everything that was sent before a process died is read before EOF, even
//     if the dead one had left messages of its own unread.
//   - A message that cannot be understood is a *ProtocolError that names itself
//     and shows how it began. It is never a panic, costs no more memory than
//     MaxMessage, and the next message is whole.
//   - Unknown types and fields are ignored, so that the builds on both sides of
//     an upgrade can talk.
//   - A descriptor that arrives is close-on-exec from its first moment. Receive
//     returns exactly those that belong to the message and closes all others.
//
// # The memory
//
// What changes with every connection goes over shared memory: a heartbeat,
// the connections in hand, the counters, a latency histogram. It costs the
// writer an atomic addition and no system call, the reader a load, and it is
// still there when its writer has died of SIGKILL in the middle of a request.
//
// A Slot is one worker's, and only that worker and the master map it. So a
// worker that lies lies about itself, and the master believes what can be.
// The scoreboard has what the workers need of each other to spread
// connections. Every worker can write all of it, so a reader only delays an
// accept for a moment by what it says, and decides nothing else. All memory
// is sealed against a change of size, so no worker can make another process
// fault.
//
// # What it does not do
//
// It does not log, decide or retry; it knows no process and no signal. It does
// not check that a message makes sense at this moment or that its values do:
// the receiver knows its own state. It does not authenticate: whoever holds
// the other end of a pair was given it. It does not carry bulk data: what is
// longer than MaxMessage belongs into a memfd.
package ipc
