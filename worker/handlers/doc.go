// Package handlers holds programs that a worker can run without one being
// written: Upper, Echo, Discard and Files. It also holds HTTPServer, which lets
// any http.Server run inside a worker and leave it without dropping a request.
//
// What holds for every handler here:
//
//   - A client decides how long it stays and how fast it sends, never how much
//     memory it takes: what a connection may hold is bounded by an option.
//   - Bytes pass unharmed. upper changes the letters a to z and nothing else,
//     as Python's bytes.upper does, so any encoding survives it.
//   - Answers to requests that arrived together leave in one write.
//   - What is left when the client has sent everything is still answered.
//   - A connection that is lost, or a client that breaks a limit, is an error
//     of that connection, which the worker counts as failed.
//
// The package does not accept, count, log or time out connections: the worker
// does, for these handlers as for any other.
package handlers
