package handlers

import (
	"context"
	"errors"
	"fmt"
	"io"

	"prefork/worker"
)

// Upper returns the handler of the socketserver documentation. It answers each
// line in upper case (the letters a to z), until the client closes. A line of
// more than maxLine bytes is refused with a message, and the connection closed.
func Upper(maxLine int) worker.Handler { return upper{maxLine: maxLine} }

// upper has no state: one value serves all connections.
type upper struct {
	worker.BaseHandler
	maxLine int
}

// Handle serves c.
func (u upper) Handle(_ context.Context, c *worker.Conn) error { return u.serve(c) }

func (u upper) serve(c io.ReadWriter) error {
	l := newLines(u.maxLine)
	defer l.release()
	for {
		text, err := l.next(c)
		if len(text) > 0 {
			upperCase(text)
			if _, werr := c.Write(text); werr != nil {
				return werr
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errLineTooLong):
			return refuseLine(c, u.maxLine)
		default:
			return err
		}
	}
}

// refuseLine answers a line that is too long. It returns the error of the connection.
func refuseLine(c io.Writer, maxLine int) error {
	refusal := fmt.Errorf("line longer than %d bytes", maxLine)
	if _, err := fmt.Fprintf(c, "error: %v\n", refusal); err != nil {
		return errors.Join(refusal, err)
	}
	return refusal
}

// upperCase changes a to z in place. bytes.ToUpper would also change letters that are
// not ASCII, and bytes that are not UTF-8.
func upperCase(p []byte) {
	for i, b := range p {
		if 'a' <= b && b <= 'z' {
			p[i] = b - ('a' - 'A')
		}
	}
}
