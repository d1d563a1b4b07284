// Package systemd is a service's side of its contract with systemd: it says
// how the service is, takes the sockets it is given, and keeps descriptors with
// the manager across a crash.
//
//	systemd (PID 1 or --user)                     the service
//	  │  LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES      │
//	  │── descriptors 3, 4, … over exec ────────────►│ Files, Inspect
//	  │  WATCHDOG_USEC, WATCHDOG_PID                 │ WatchdogInterval
//	  │                                              │
//	  │  NOTIFY_SOCKET: one datagram, one message    │
//	  │◄────────────────────── READY=1, STATUS=… ────│ Notifier.Ready
//	  │◄────────────────────────────── WATCHDOG=1 ───│ Notifier.Watchdog
//	  │◄──── FDSTORE=1, FDNAME=http + descriptors ───│ Notifier.Store
//	  │◄─── RELOADING=1, MONOTONIC_USEC=… ───────────│ Notifier.Reloading
//	  │◄────────────────────── READY=1, STATUS=… ────│ Notifier.Ready
//	  │◄────────────────────────────── STOPPING=1 ───│ Notifier.Stopping
//	  │◄─── EXTEND_TIMEOUT_USEC=… ───────────────────│ Notifier.Extend
//	  │◄──── BARRIER=1 + one descriptor ─────────────│ Notifier.Barrier
//	  │── closes it: all of the above is done ──────►│
//	  ▼                                              ▼
//
// # Invariants
//
// Nothing here waits for long. A notification goes out at once, or within
// Notifier.Wait, or fails with ErrBusy: a manager that hangs must not hang the
// service with it. Only Barrier waits for an answer, as long as its context
// allows.
//
// Outside systemd everything is silent: without NOTIFY_SOCKET a Notifier sends
// nothing and reports no error, without LISTEN_PID there are no files, without
// WATCHDOG_USEC no watchdog. What is there but malformed is an *EnvError that
// names the variable and the remedy. It is never taken for absence, for then
// a service would bind the port that systemd holds, or run without the
// watchdog that its operator relies on.
//
// A descriptor passed to a function stays the caller's, always. Descriptors
// that this package opens are close-on-exec, and those that Files returns are
// made so.
//
// Nothing is logged. Errors are returned, once.
//
// # Notifications
//
// A message is a list of NAME=value lines in one datagram of at most
// MaxMessage bytes, with at most MaxFiles descriptors. There is no answer, and
// systemd drops what it does not like with a line in its own log, so this
// package checks first what systemd will check: encoding, sizes, names.
//
// systemd finds the unit by the credentials that the kernel attaches, and
// takes messages from the main process only unless NotifyAccess= says
// otherwise. Send sends the fields that have no method of their own. A process that sends and exits at once may be gone before its
// message is read; Barrier closes that gap.
//
// Type=notify makes systemctl start wait for Ready. After Reloading the unit
// shows as reloading until the next Ready, so Ready follows a failed reload
// too, with the reason as its status. Under Type=notify-reload (systemd 253
// and later) the manager matches MONOTONIC_USEC against the moment it asked,
// which is why it travels in the same message. Extend moves the deadline of
// whatever start, reload or stop is under way and must be repeated before the
// extension ends. Watchdog must be sent at least once in the interval; half of
// it is the custom.
//
// # The descriptor store
//
// What is given to Store outlives the process: after a crash systemd passes
// it to the next incarnation beside the socket units' descriptors, and Files
// returns both by name. The store is off unless the unit says
// FileDescriptorStoreMax=, and is emptied when the unit stops for good. A
// descriptor already stored is not stored twice. Names are the caller's, and
// EscapeName makes a valid one of any string. A stored connection gets no FIN
// while systemd holds it: Remove before the last close. systemd itself removes
// a descriptor on which poll reports a hang-up or an error.
//
// # Children and replacement images
//
// The variables mean this process. Environ strips them from the environment
// of a child. A process that replaces itself with execve and keeps its PID
// keeps NOTIFY_SOCKET and WATCHDOG_USEC, for both still hold, and must have
// called Files(true), for the new image's descriptors are not where LISTEN_FDS
// says.
//
// # What it does not do
//
// It speaks no D-Bus, starts no units and reads no journal. It does not decide
// when the service is ready or its watchdog deserves feeding. It knows only
// socket paths and abstract names; the vsock notification of virtual machines
// is refused by name.
//
// Package notifytest records notifications in tests.
//
// # Sources
//
// sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3),
// sd_pid_notify_with_fds(3), sd_notify_barrier(3), systemd.exec(5), unix(7).
package systemd
