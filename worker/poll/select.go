package poll

import (
	"fmt"
	"math/bits"
	"time"

	"golang.org/x/sys/unix"
)

// selectPoller has the sets that select(2) reads.
type selectPoller struct {
	read, write unix.FdSet
	top         int // the highest descriptor ever added, plus one
}

// isWatched says whether fd is in one of the sets.
func (s *selectPoller) isWatched(fd int) bool {
	return fd >= 0 && fd < unix.FD_SETSIZE && (s.read.IsSet(fd) || s.write.IsSet(fd))
}

func (s *selectPoller) Add(fd int) error {
	if fd < 0 || fd >= unix.FD_SETSIZE {
		return fmt.Errorf("add descriptor %d to select, which takes those below %d: %w", fd, unix.FD_SETSIZE, ErrRange)
	}
	if s.isWatched(fd) {
		return fmt.Errorf("add descriptor %d to select: %w", fd, ErrWatched)
	}
	s.read.Set(fd)
	s.top = max(s.top, fd+1)
	return nil
}

func (s *selectPoller) AddConn(fd int) error { return s.Add(fd) }

func (s *selectPoller) SetWrite(fd int, on bool) error {
	if !s.isWatched(fd) {
		return fmt.Errorf("change descriptor %d in select: %w", fd, ErrNotWatched)
	}
	s.read.Clear(fd)
	s.write.Clear(fd)
	if on {
		s.write.Set(fd)
	} else {
		s.read.Set(fd)
	}
	return nil
}

func (s *selectPoller) Remove(fd int) error {
	if !s.isWatched(fd) {
		return fmt.Errorf("remove descriptor %d from select: %w", fd, ErrNotWatched)
	}
	s.read.Clear(fd)
	s.write.Clear(fd)
	return nil
}

func (s *selectPoller) Wait(ready []int, timeout time.Duration) ([]int, error) {
	var limit *unix.Timeval
	if timeout >= 0 {
		tv := unix.NsecToTimeval(int64(milliseconds(timeout)) * int64(time.Millisecond))
		limit = &tv
	}
	read, write := s.read, s.write
	n, err := unix.Select(s.top, &read, &write, nil, limit)
	if err != nil && !isInterrupt(err) {
		return ready, fmt.Errorf("wait in select: %w", err)
	}
	for i := 0; err == nil && n > 0 && i < len(read.Bits); i++ {
		for word := uint(read.Bits[i] | write.Bits[i]); word != 0; word &= word - 1 {
			ready = append(ready, i*unix.NFDBITS+bits.TrailingZeros(word))
			n--
		}
	}
	return ready, nil
}

// Close does nothing.
func (s *selectPoller) Close() error { return nil }
