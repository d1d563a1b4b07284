package handlers

import (
	"context"
	"errors"
	"io"

	"prefork/worker"
)

// Echo sends every byte back as it comes (RFC 862). It is a worker.HandlerFunc.
func Echo(_ context.Context, c *worker.Conn) error { return echo(c) }

// Discard reads and drops everything, and answers nothing (RFC 863). It is a
// worker.HandlerFunc.
func Discard(_ context.Context, c *worker.Conn) error { return discard(c) }

// echo stops reading while the client does not take its answers, so what a
// connection holds is one buffer.
func echo(c io.ReadWriter) error {
	return pump(c, func(p []byte) error {
		_, err := c.Write(p)
		return err
	})
}

func discard(c io.Reader) error {
	return pump(c, func([]byte) error { return nil })
}

// pump hands to use what r brings, until it ends. io.Copy would hold 32 KiB
// for each connection that waits.
func pump(r io.Reader, use func([]byte) error) error {
	var b buffer
	defer b.release()
	empty := 0
	for last := 0; ; {
		p := b.next(last)
		n, err := r.Read(p)
		if n > 0 {
			empty = 0
			if uerr := use(p[:n]); uerr != nil {
				return uerr
			}
		} else if err == nil {
			if empty++; empty == maxEmptyReads {
				return io.ErrNoProgress
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		last = n
	}
}
