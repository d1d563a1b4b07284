package ipc

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// ErrNothing is wrapped by the error of RawChannel.Receive if no message waits.
var ErrNothing = errors.New("no message")

// RawChannel is the worker's end of a channel in a process that forks itself, and in
// those that it has forked. No call waits, or uses Go's netpoller. Its descriptor can
// be watched. Send may be called from any goroutine, the rest from one at a time.
type RawChannel struct {
	fd     int
	packet *packet // of Receive
}

// NewRawChannel takes ownership of fd, one end made by Pair, and makes it
// close-on-exec. On error fd stays open and the caller's.
func NewRawChannel(fd int) (*RawChannel, error) {
	if err := checkChannel(fd); err != nil {
		return nil, err
	}
	return &RawChannel{fd: fd, packet: new(packet)}, nil
}

// FD returns the descriptor, which stays the channel's.
func (c *RawChannel) FD() int { return c.fd }

// Send is Channel.Send.
func (c *RawChannel) Send(m Message, fds ...int) error {
	return send(m, fds, func(data, oob []byte) error { return sendmsg(c.fd, data, oob) })
}

// Receive is Channel.Receive, but returns an error that wraps ErrNothing instead of
// waiting.
func (c *RawChannel) Receive() (Message, []int, error) {
	switch err := c.packet.read(c.fd); {
	case errors.Is(err, unix.EAGAIN):
		return nil, nil, fmt.Errorf("receive: %w", ErrNothing)
	case err == io.EOF:
		return nil, nil, io.EOF
	case err != nil:
		return nil, nil, fmt.Errorf("receive: %w", err)
	}
	return c.packet.message()
}

// Close closes this end.
func (c *RawChannel) Close() error {
	if err := unix.Close(c.fd); err != nil {
		return fmt.Errorf("close channel: %w", err)
	}
	return nil
}
