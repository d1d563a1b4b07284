package poll

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// pollPoller has the list that poll(2) reads.
type pollPoller struct {
	list []unix.PollFd
}

func (p *pollPoller) index(fd int) int {
	return slices.IndexFunc(p.list, func(e unix.PollFd) bool { return int(e.Fd) == fd })
}

func (p *pollPoller) Add(fd int) error {
	if fd < 0 {
		return fmt.Errorf("add descriptor %d to poll: %w", fd, ErrRange)
	}
	if p.index(fd) >= 0 {
		return fmt.Errorf("add descriptor %d to poll: %w", fd, ErrWatched)
	}
	p.list = append(p.list, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	return nil
}

func (p *pollPoller) Remove(fd int) error {
	i := p.index(fd)
	if i < 0 {
		return fmt.Errorf("remove descriptor %d from poll: %w", fd, ErrNotWatched)
	}
	p.list = slices.Delete(p.list, i, i+1)
	return nil
}

func (p *pollPoller) Wait(ready []int, timeout time.Duration) ([]int, error) {
	n, err := unix.Poll(p.list, milliseconds(timeout))
	if err != nil && !isInterrupt(err) {
		return ready, fmt.Errorf("wait in poll: %w", err)
	}
	for i := 0; n > 0 && i < len(p.list); i++ {
		switch e := &p.list[i]; {
		case e.Revents == 0:
		case e.Revents&unix.POLLNVAL != 0:
			return ready, fmt.Errorf("wait in poll for descriptor %d: %w", e.Fd, unix.EBADF)
		default:
			ready = append(ready, int(e.Fd))
		}
	}
	return ready, nil
}

// Close does nothing.
func (p *pollPoller) Close() error { return nil }
