package systemd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Ready says that the start or a reload has ended, in success or not (READY=1).
// A status that is not empty goes in the same message, as Status would send it.
func (n *Notifier) Ready(status string) error {
	return n.Send(withStatus(Field{"READY", "1"}, status)...)
}

// Reloading says that a reload has begun (RELOADING=1), with the moment in
// MONOTONIC_USEC, which Type=notify-reload demands. Ready must follow, whatever
// becomes of the reload.
func (n *Notifier) Reloading() error {
	usec, err := monotonicUSec()
	if err != nil {
		return err
	}
	return n.Send(Field{"RELOADING", "1"}, Field{"MONOTONIC_USEC", strconv.FormatInt(usec, 10)})
}

// Stopping says that the service is ending (STOPPING=1). A status that is not
// empty goes along.
func (n *Notifier) Stopping(status string) error {
	return n.Send(withStatus(Field{"STOPPING", "1"}, status)...)
}

// Status sets the line that systemctl status shows (STATUS=). Control characters
// become spaces, bytes that are not UTF-8 are replaced, and the text is cut after
// MaxStatus bytes. An empty text clears the line.
func (n *Notifier) Status(text string) error { return n.Send(statusField(text)) }

// Extend asks that the start, reload or stop under way may last d from now
// (EXTEND_TIMEOUT_USEC=), at least a microsecond. It must be sent before the time
// allowed so far is over, and again before d is over.
func (n *Notifier) Extend(d time.Duration) error {
	if d < time.Microsecond {
		return fmt.Errorf("notify EXTEND_TIMEOUT_USEC: duration %v, want a microsecond or more", d)
	}
	return n.Send(Field{"EXTEND_TIMEOUT_USEC", strconv.FormatInt(d.Microseconds(), 10)})
}

// Watchdog tells the watchdog that all is well (WATCHDOG=1). See WatchdogInterval.
func (n *Notifier) Watchdog() error { return n.Send(Field{"WATCHDOG", "1"}) }

// Barrier waits until the manager has processed every message sent before, or
// until ctx ends; then the error wraps its cause. The message is BARRIER=1 alone
// with the one end of a pipe, which every version of systemd closes.
func (n *Notifier) Barrier(ctx context.Context) error {
	if !n.Enabled() {
		return nil
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return fmt.Errorf("make barrier: %w", err)
	}
	near := os.NewFile(uintptr(pipe[0]), "barrier")
	defer func() { _ = near.Close() }() // a pipe's read end has nothing to lose
	err := n.SendFiles(pipe[1:], Field{"BARRIER", "1"})
	_ = unix.Close(pipe[1]) // ours must go, or the manager's close would not show
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() {
		// It fails only if the file is closed, and then nobody waits.
		_ = near.SetReadDeadline(time.Unix(1, 0))
	})
	defer stop()
	_, err = near.Read(make([]byte, 1))
	switch {
	case err == io.EOF:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("wait at barrier: %w", context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("wait at barrier: %w", err)
	}
	return errors.New("wait at barrier: the manager wrote to it")
}

func withStatus(f Field, status string) []Field {
	if status == "" {
		return []Field{f}
	}
	return []Field{f, statusField(status)}
}

// monotonicUSec reads CLOCK_MONOTONIC, the one clock that MONOTONIC_USEC means.
func monotonicUSec() (int64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, fmt.Errorf("read the monotonic clock: %w", err)
	}
	return ts.Nano() / 1000, nil
}
