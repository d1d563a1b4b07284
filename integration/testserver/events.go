package main

import (
	"context"
	"strings"

	"prefork/worker"
)

// eventLines is lines in mode event. Commands that may wait run on a goroutine of
// their own; until one has answered, the next lines of its connection wait.
type eventLines struct{ lines }

// conversation is the state of a connection.
type conversation struct {
	waiting []string // lines
	busy    bool     // a command runs on a goroutine
	ended   bool     // no more lines will come
}

func newEventLines(tag string) worker.EventHandler {
	h := &eventLines{lines{tag: tag}}
	return events{worker.Messages(worker.SplitLines(maxLine), h.line)}
}

// events adds to Messages what happens at the end of the input.
type events struct{ worker.EventHandler }

func (events) Open(c *worker.Conn) error {
	c.SetState(new(conversation))
	return nil
}

func (e events) Data(c *worker.Conn, in []byte, eof bool) (int, error) {
	n, err := e.EventHandler.Data(c, in, eof)
	if state := c.State().(*conversation); eof && state.busy {
		state.ended = true
		c.Keep()
	}
	return n, err
}

func (h *eventLines) line(c *worker.Conn, line []byte) error {
	state := c.State().(*conversation)
	state.waiting = append(state.waiting, string(line))
	return h.next(c)
}

// next answers the lines that wait, up to one that is answered by a goroutine.
func (h *eventLines) next(c *worker.Conn) error {
	state := c.State().(*conversation)
	for !state.busy && len(state.waiting) > 0 {
		text := state.waiting[0]
		state.waiting = state.waiting[1:]
		c.Doing(text)
		if !waits(text) {
			if err := h.answer(c, text); err != nil {
				return err
			}
			continue
		}
		state.busy = true
		go func() {
			answer := h.run(text)
			c.Wake(func(c *worker.Conn) {
				state.busy = false
				if _, err := c.Write(answer); err != nil || h.next(c) != nil || state.ended && !state.busy {
					_ = c.Close() // an error of the connection is known to the worker
				}
			})
		}()
	}
	return nil
}

// waits says whether the command may wait.
func waits(text string) bool {
	command, _, _ := strings.Cut(text, " ")
	switch command {
	case "upper", "pid", "tag", "panic", "exit", "fatal":
		return false
	}
	return true
}

func (h *eventLines) answer(c *worker.Conn, text string) error {
	_, err := c.Write(h.run(text))
	return err
}

// run returns the answer to a line.
func (h *eventLines) run(text string) []byte {
	command, argument, _ := strings.Cut(text, " ")
	answer, err := h.lines.run(context.Background(), command, argument)
	if err != nil {
		answer = "error: " + err.Error()
	}
	return []byte(answer + "\n")
}
