package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// process is a hold on another process, by pidfd: unlike a PID, it can never
// come to mean a different one.
type process struct {
	pid int
	f   *os.File
}

// openProcess returns nil if there is no such process to be seen.
func openProcess(pid int) *process {
	// Non-blocking, so that Go's poller waits for it without a thread.
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil
	}
	return &process{pid: pid, f: os.NewFile(uintptr(fd), "pidfd")}
}

func (p *process) close() { _ = p.f.Close() }

// wait returns once the process is gone, or ctx ends. A pidfd is readable when
// its process has ended (pidfd_open(2)).
func (p *process) wait(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = p.f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := p.f.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for process %d: %w", p.pid, err)
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
	return fmt.Errorf("wait for process %d: %w", p.pid, err)
}
