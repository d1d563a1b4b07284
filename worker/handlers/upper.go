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

// serve copies, because a Conn holds no buffer while a copy from it waits.
func (u upper) serve(c io.ReadWriter) error {
	lines := upperLines{to: c, maxLine: u.maxLine}
	defer lines.release()
	_, err := io.Copy(&lines, c)
	switch {
	case errors.Is(err, errLineTooLong):
		return refuseLine(c, u.maxLine)
	case err != nil:
		return err
	}
	return lines.finish()
}

// refuseLine answers a line that is too long. It returns the error of the connection.
func refuseLine(c io.Writer, maxLine int) error {
	refusal := fmt.Errorf("line longer than %d bytes", maxLine)
	if _, err := fmt.Fprintf(c, "error: %v\n", refusal); err != nil {
		return errors.Join(refusal, err)
	}
	return refusal
}

// upperCase writes p to dst, which may be p, with a to z changed. bytes.ToUpper would
// also change letters that are not ASCII, and bytes that are not UTF-8.
func upperCase(dst, p []byte) {
	dst = dst[:len(p)]
	for i, b := range p {
		if 'a' <= b && b <= 'z' {
			b -= 'a' - 'A'
		}
		dst[i] = b // always: to store only some bytes takes longer
	}
}
