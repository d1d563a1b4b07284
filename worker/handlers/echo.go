package handlers

import (
	"context"
	"io"

	"prefork/worker"
)

// Echo sends every byte back as it comes (RFC 862). It is a worker.HandlerFunc. It
// reads no more while the client does not take its answers.
func Echo(_ context.Context, c *worker.Conn) error {
	_, err := io.Copy(c, c)
	return err
}

// Discard reads and drops everything, and answers nothing (RFC 863). It is a
// worker.HandlerFunc.
func Discard(_ context.Context, c *worker.Conn) error {
	_, err := io.Copy(io.Discard, c)
	return err
}
