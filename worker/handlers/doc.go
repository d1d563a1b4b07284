// Package handlers has ready handlers: Upper, Echo, Discard and Files, and
// HTTPServer, which runs any http.Server in a worker and drains it without dropping
// a request. EventUpper, EventEcho and EventDiscard are for mode event.
//
// All of them keep these rules:
//
//   - The memory of a connection is limited, whatever its client sends.
//   - Upper changes the letters a to z and nothing else, as Python's bytes.upper
//     does, so it works with any encoding.
//   - Answers to requests that arrive together are sent in one write.
//   - A last line without a line feed is answered, too.
//   - A lost connection, or a client that exceeds a limit, is an error of that
//     connection, which the worker counts as failed.
//
// In mode event the answers are the same as in the others.
//
// The worker accepts, counts, logs and times out their connections, as those of any
// other handler.
package handlers
