package worker

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// RandomSeed returns a seed from the kernel, for rand.NewChaCha8. Workers that are forked
// share the state of the global functions of math/rand and math/rand/v2, so that all of
// them would get the same numbers. Package crypto/rand is not affected.
func RandomSeed() (seed [32]byte) {
	_, _ = rand.Read(seed[:]) // never fails
	return seed
}

// Await waits until p, a child of this process, can be waited for without blocking. Call
// it before (*os.Process).Wait, or (*exec.Cmd).Wait, in a worker that may be forked: there
// Wait blocks all goroutines, also those that read the program's output. It returns at
// once if p was waited for already.
func Await(p *os.Process) error {
	// With a descriptor of its own: Wait would return EAGAIN for a non-blocking one.
	var fd int
	var openErr error
	err := p.WithHandle(func(uintptr) { // p.Pid is this process until it returns
		fd, openErr = unix.PidfdOpen(p.Pid, unix.PIDFD_NONBLOCK)
	})
	switch {
	case errors.Is(err, os.ErrProcessDone):
		return nil
	case err != nil || openErr != nil:
		return fmt.Errorf("await process %d: %w", p.Pid, errors.Join(err, openErr))
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	defer file.Close()
	raw, err := file.SyscallConn()
	if err == nil {
		err = raw.Read(func(fd uintptr) bool {
			polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			n, err := unix.Poll(polled, 0)
			return n > 0 && err == nil
		})
	}
	if err != nil {
		return fmt.Errorf("await process %d: %w", p.Pid, err)
	}
	return nil
}
