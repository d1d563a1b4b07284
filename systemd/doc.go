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
//   - Nothing waits for long. A notification goes out at once, or within
//     Notifier.Wait, or fails with ErrBusy, so that a manager that hangs does not
//     stop the service. Only Barrier waits for an answer, until its context ends.
//   - Outside systemd nothing happens, without an error: no NOTIFY_SOCKET, no
//     LISTEN_PID, no WATCHDOG_USEC mean no notification, no files, no watchdog.
//     A malformed variable is an *EnvError with the remedy. It does not count as
//     absent: the service would bind the port that systemd holds, or run without
//     the watchdog that its operator relies on.
//   - A descriptor that is passed to a function stays the caller's. Descriptors
//     that this package opens or returns are close-on-exec.
//   - Nothing is logged. Errors are returned.
//
// # Notifications
//
// A message is a list of NAME=value lines in one datagram of at most
// MaxMessage bytes, with at most MaxFiles descriptors. There is no answer, and
// systemd drops an invalid message with a line in its own log, so this package
// checks encoding, sizes and names first.
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
// so it is in the same message. Extend moves the deadline of the start, reload or
// stop that is under way, and must be repeated before the extension ends.
// Watchdog must be sent at least once in the interval; twice is usual.
//
// # The descriptor store
//
// A stored descriptor outlives the process: after a crash systemd passes it to
// the next process beside the socket units' descriptors, and Files returns both
// by name. The store needs FileDescriptorStoreMax= in the unit, and is emptied
// when the unit stops. No descriptor is stored twice. Names are the caller's, and
// EscapeName makes a valid one of any string. A stored connection gets no FIN
// while systemd holds it: Remove before the last close. systemd itself removes
// a descriptor on which poll reports a hang-up or an error.
//
// # Children and replacement images
//
// The variables are for this process. Environ removes them from the environment
// of a child. A process that replaces itself with execve keeps NOTIFY_SOCKET and
// WATCHDOG_USEC, which stay valid, and must have called Files(true), because
// LISTEN_FDS does not describe the descriptors of the new image.
//
// # What it does not do
//
// It does not use D-Bus, start units or read the journal. It does not decide when
// the service is ready or healthy. The vsock notification of virtual machines is
// not supported.
//
// # Sources
//
// sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3),
// sd_pid_notify_with_fds(3), sd_notify_barrier(3), systemd.exec(5), unix(7).
package systemd
