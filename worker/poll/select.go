package poll

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// selectPoller has the set that select(2) reads.
type selectPoller struct {
	set unix.FdSet
	top int // the highest descriptor ever added, plus one
}

func (s *selectPoller) Add(fd int) error {
	if fd < 0 || fd >= unix.FD_SETSIZE {
		return fmt.Errorf("add descriptor %d to select, which takes those below %d: %w", fd, unix.FD_SETSIZE, ErrRange)
	}
	if s.set.IsSet(fd) {
		return fmt.Errorf("add descriptor %d to select: %w", fd, ErrWatched)
	}
	s.set.Set(fd)
	s.top = max(s.top, fd+1)
	return nil
}

func (s *selectPoller) Remove(fd int) error {
	if fd < 0 || fd >= unix.FD_SETSIZE || !s.set.IsSet(fd) {
		return fmt.Errorf("remove descriptor %d from select: %w", fd, ErrNotWatched)
	}
	s.set.Clear(fd)
	return nil
}

func (s *selectPoller) Wait(ready []int, timeout time.Duration) ([]int, error) {
	var limit *unix.Timeval
	if timeout >= 0 {
		tv := unix.NsecToTimeval(int64(milliseconds(timeout)) * int64(time.Millisecond))
		limit = &tv
	}
	set := s.set
	n, err := unix.Select(s.top, &set, nil, nil, limit)
	if err != nil && !isInterrupt(err) {
		return ready, fmt.Errorf("wait in select: %w", err)
	}
	for fd := 0; err == nil && n > 0 && fd < s.top; fd++ {
		if set.IsSet(fd) {
			ready = append(ready, fd)
			n--
		}
	}
	return ready, nil
}

// Close does nothing.
func (s *selectPoller) Close() error { return nil }
