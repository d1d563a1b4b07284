// Package control is the client's side of a prefork master's control socket:
// where the socket is, and how to ask something over it.
//
// The master speaks HTTP and JSON over a Unix socket. Its path follows from the
// first listen address, so that a client finds a running server without being
// told:
//
//	$RUNTIME_DIRECTORY/tcp-127.0.0.1-9999.sock        under systemd
//	$XDG_RUNTIME_DIR/prefork/tcp-127.0.0.1-9999.sock  in a login session
//	$TMPDIR/prefork-UID/tcp-127.0.0.1-9999.sock       elsewhere
//
// The server takes the first that it can have; a client looks into all of
// them, and into /run/prefork, where a unit with RuntimeDirectory=prefork has it.
//
// Invariants:
//
//   - A directory that another user could have planted (in /tmp, say) is neither
//     used nor believed.
//   - A path that would not fit a socket address is shortened by a hash, the
//     same for server and client, or refused; never cut.
//   - A command returns the server's verdict, or an error that says that there
//     is none. After drain and stop the process is waited for by pidfd, so that
//     whoever starts the next server finds the ports and the PID file free.
//
// What it does not do: authenticate. The socket's mode and the master's look at
// the peer's credentials do.
package control
