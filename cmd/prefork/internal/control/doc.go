// Package control is the client's side of a prefork master's control socket:
// where the socket is, and how to ask something over it.
//
// The master serves HTTP and JSON on a Unix socket. Its path follows from the first
// listen address, so that a client finds a running server by itself:
//
//	$RUNTIME_DIRECTORY/tcp-127.0.0.1-9999.sock        under systemd
//	$XDG_RUNTIME_DIR/prefork/tcp-127.0.0.1-9999.sock  in a login session
//	$TMPDIR/prefork-UID/tcp-127.0.0.1-9999.sock       elsewhere
//
// The server uses the first that it can; a client searches all of them, and
// /run/prefork, where a unit with RuntimeDirectory=prefork has it.
//
// Invariants:
//
//   - A directory that another user could have made (in /tmp, say) is not used.
//   - A path that does not fit a socket address is shortened by a hash, the same
//     for server and client, or refused; never cut.
//   - A command returns the server's outcome, or an error that says that there is
//     none. After drain and stop the client waits for the process by pidfd, so
//     that the next server finds the ports and the PID file free.
//
// It does not authenticate: the socket's mode and the master's check of the peer's
// credentials do.
package control
