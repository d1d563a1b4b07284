package worker

import (
	"bufio"
	"errors"
	"io"
)

var errSplitStuck = errors.New("split function returned messages without consuming anything")

// maxStuck is how often in a row a split function may return a message and consume
// nothing.
const maxStuck = 100

// Messages returns an EventHandler that cuts what arrives into messages with split,
// such as SplitLines, SplitFrames or a function of package bufio, and calls f with
// each. Open and Close do nothing; a handler that needs them embeds the result:
//
//	type chat struct{ worker.EventHandler }
//
//	func (chat) Open(c *worker.Conn) error {
//		_, err := io.WriteString(c, "hello\n")
//		return err
//	}
//
//	srv.EventHandler = chat{worker.Messages(worker.SplitLines(1024), answer)}
//
// f may change a message, which is valid until f returns. Its error closes the
// connection, as an error of Data does; io.EOF is not a failure. What f writes for
// messages that arrived together is sent together. A client that does not read its
// answers gets no more of them: f is called again when they have been sent.
//
// A message that arrives in pieces is looked at again with each piece, and its pieces
// must fit into Config.MaxMessage.
func Messages(split bufio.SplitFunc, f func(c *Conn, message []byte) error) EventHandler {
	return messages{split: split, f: f}
}

type messages struct {
	BaseEventHandler
	split bufio.SplitFunc
	f     func(c *Conn, message []byte) error
}

func (m messages) Data(c *Conn, in []byte, eof bool) (used int, err error) {
	for stuck := 0; stuck < maxStuck; {
		if used == len(in) && !eof || c.Unsent() > 0 || c.event.is(evClosed) {
			return used, nil
		}
		advance, message, err := m.split(in[used:], eof)
		switch {
		case err != nil && !errors.Is(err, bufio.ErrFinalToken):
			return used, err
		case advance < 0:
			return used, bufio.ErrNegativeAdvance
		case advance > len(in)-used:
			return used, bufio.ErrAdvanceTooFar
		}
		used += advance
		if message != nil {
			if err := m.f(c, message); err != nil {
				return used, err
			}
		}
		switch {
		case err != nil:
			return used, io.EOF
		case advance > 0:
			stuck = 0
		case message == nil:
			return used, nil
		default:
			stuck++
		}
	}
	return used, errSplitStuck
}
