package handlers

import "prefork/worker"

// EventEcho returns Echo for mode event.
func EventEcho() worker.EventHandler { return eventEcho{} }

// EventDiscard returns Discard for mode event.
func EventDiscard() worker.EventHandler { return eventDiscard{} }

// EventUpper returns Upper for mode event. A line must fit into
// worker.Config.MaxMessage, and the answer to it into MaxUnsent.
func EventUpper(maxLine int) worker.EventHandler { return eventUpper{maxLine: maxLine} }

type eventEcho struct{ worker.BaseEventHandler }

func (eventEcho) Data(c *worker.Conn, in []byte, _ bool) (int, error) { return c.Write(in) }

type eventDiscard struct{ worker.BaseEventHandler }

func (eventDiscard) Data(_ *worker.Conn, in []byte, _ bool) (int, error) { return len(in), nil }

type eventUpper struct {
	worker.BaseEventHandler
	maxLine int
}

// Data answers all complete lines at once.
func (u eventUpper) Data(c *worker.Conn, in []byte, eof bool) (int, error) {
	end, err := completeLines(in, searched(c), u.maxLine)
	if err == nil && eof {
		end = len(in)
	}
	if text := in[:end]; len(text) > 0 {
		upperCase(text, text)
		if _, err := c.Write(text); err != nil {
			return end, err
		}
	}
	if err != nil {
		return end, refuseLine(c, u.maxLine)
	}
	setSearched(c, len(in)-end)
	return end, nil
}

// searched returns how many bytes of a line have been searched for its end. It is
// the state of a connection that waits for the rest of a long line: without it a line
// of n bytes would cost n² in pieces.
func searched(c *worker.Conn) int {
	n, _ := c.State().(int)
	return n
}

func setSearched(c *worker.Conn, n int) {
	switch {
	case n > smallRest:
		c.SetState(n)
	case c.State() != nil:
		c.SetState(nil)
	}
}
