package poll

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// pollPoller has the list that poll(2) reads.
type pollPoller struct {
	list  []unix.PollFd
	place []int32 // by descriptor: its index in list plus one, or 0
}

// index returns where fd is in the list, or -1.
func (p *pollPoller) index(fd int) int {
	if fd < 0 || fd >= len(p.place) {
		return -1
	}
	return int(p.place[fd]) - 1
}

func (p *pollPoller) Add(fd int) error {
	if fd < 0 {
		return fmt.Errorf("add descriptor %d to poll: %w", fd, ErrRange)
	}
	if p.index(fd) >= 0 {
		return fmt.Errorf("add descriptor %d to poll: %w", fd, ErrWatched)
	}
	p.list = append(p.list, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	if fd >= len(p.place) {
		p.place = append(p.place, make([]int32, fd+1-len(p.place))...)
	}
	p.place[fd] = int32(len(p.list))
	return nil
}

func (p *pollPoller) AddConn(fd int) error { return p.Add(fd) }

func (p *pollPoller) SetWrite(fd int, on bool) error {
	i := p.index(fd)
	if i < 0 {
		return fmt.Errorf("change descriptor %d in poll: %w", fd, ErrNotWatched)
	}
	p.list[i].Events = unix.POLLIN
	if on {
		p.list[i].Events = unix.POLLOUT
	}
	return nil
}

// Remove puts the last descriptor in fd's place.
func (p *pollPoller) Remove(fd int) error {
	i := p.index(fd)
	if i < 0 {
		return fmt.Errorf("remove descriptor %d from poll: %w", fd, ErrNotWatched)
	}
	last := len(p.list) - 1
	p.list[i] = p.list[last]
	p.place[p.list[i].Fd] = int32(i + 1)
	p.place[fd] = 0
	p.list = p.list[:last]
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
			n--
		}
	}
	return ready, nil
}

// Close does nothing.
func (p *pollPoller) Close() error { return nil }
