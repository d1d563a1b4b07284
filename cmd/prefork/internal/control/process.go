package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// openProcess opens a process by pidfd: unlike a PID, it can never come to mean a
// different one. It returns nil if there is no such process to be seen.
func openProcess(pid int) *os.File {
	// Non-blocking, so that Go's poller waits for it without a thread.
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(fd), "process "+strconv.Itoa(pid))
}

// wait returns once the process is gone, or ctx ends. A pidfd is readable when
// its process has ended (pidfd_open(2)).
func wait(ctx context.Context, process *os.File) error {
	stop := context.AfterFunc(ctx, func() { _ = process.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := process.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for %s: %w", process.Name(), err)
	}
	err = raw.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		return err == nil && n > 0
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return fmt.Errorf("wait for %s: %w", process.Name(), err)
}
