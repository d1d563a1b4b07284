package worker

import "errors"

// What a connection in mode Event has beside the methods of every Conn. All methods
// of such a connection but Wake and those that only return something belong to the
// loop: they may be called in the methods of the EventHandler, for any connection,
// and in a function that Wake runs.
//
// Write copies b and never waits. What was written in one call of the handler is sent
// in one system call when that returns. Bytes that the client does not take are kept,
// and until they are sent nothing is read from it. Read and the deadlines return
// errors.

// errNotInEvent is the error of methods that would wait.
var errNotInEvent = errors.New("not in mode event")

// SetState keeps v for the handler, until the connection ends.
func (c *Conn) SetState(v any) { c.state = v }

// State returns what SetState was given, or nil.
func (c *Conn) State() any { return c.state }

// Unsent returns how many bytes are kept because the client has not taken them. What
// the call of the handler has written so far is not counted before the loop has tried
// to send it.
func (c *Conn) Unsent() int { return 0 }

// Wake makes the loop call f, if the connection is still open then; f may write. Any
// goroutine may call it, also one that holds a lock that f needs. The functions run in
// the order of the calls. Nothing but the program bounds how many wait. In the other
// modes Wake does nothing.
func (c *Conn) Wake(f func(c *Conn)) {}

// Keep keeps the connection open after the call of Data with eof, because the handler
// still waits for an answer of another goroutine. The handler must call Close later,
// or CloseWrite.
func (c *Conn) Keep() {}
