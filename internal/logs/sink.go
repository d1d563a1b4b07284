package logs

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a line waits for a reader that does not keep up.
const patience = 100 * time.Millisecond

// pipeBuf is what a pipe takes in one piece if it has room at all, see pipe(7).
const pipeBuf = 4096

// errStalled is the error of a line that its reader had no room for.
var errStalled = errors.New("log is not being read")

// stuck is how long a line waits for a write that blocks although poll reported
// room, as on a file system that does not answer.
const stuck = 2 * patience

// sink writes lines to a descriptor. It does not use os.File, whose Write ends the
// process with SIGPIPE when the reader of standard error has closed, and waits for
// a slow reader without limit.
//
// A write to a file may block as well, and cannot be interrupted. So it has a
// goroutine of its own, for which the logger waits for a limited time.
type sink struct {
	raw  syscall.RawConn
	sys  func(fd int, b []byte) (int, error) // write(2), except in a test
	lost atomic.Uint64                       // lines that were not written and not reported yet

	mu      sync.Mutex // one line at a time; guards the next three
	writing bool       // the last line is still being written
	line    []byte     // that is being written
	wrote   chan error // the outcome; holds one

	// The rest is guarded by the write lock of raw.

	stalled bool // the last line found no room: the next does not wait
	torn    bool // the last line was cut off in its middle
}

func newSink(raw syscall.RawConn) *sink {
	return &sink{raw: raw, sys: unix.Write, wrote: make(chan error, 1)}
}

// isStream reports whether the descriptor is still the journal's stream, and not a
// log file that has replaced it.
func (s *sink) isStream(value string) (is bool) {
	err := s.raw.Control(func(fd uintptr) { is = isStream(int(fd), value) })
	return err == nil && is
}

// write writes one line, which ends in a newline. It may be called from any
// goroutine. A line that takes too long counts as lost, although it may arrive.
func (s *sink) write(line []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing {
		select {
		case <-s.wrote: //nolint:errcheck // its line has been counted as lost
			s.writing = false
		default:
			return errStalled
		}
	}
	s.line = append(s.line[:0], line...)
	go func() { s.wrote <- s.put(s.line) }()
	timer := time.NewTimer(stuck)
	defer timer.Stop()
	select {
	case err := <-s.wrote:
		return err
	case <-timer.C:
		s.writing = true
		return errStalled
	}
}

func (s *sink) put(line []byte) error {
	var writeErr error
	err := s.raw.Write(func(fd uintptr) bool {
		if s.torn {
			line = append([]byte{'\n'}, line...)
		}
		var wrote int
		wrote, writeErr = s.writeAll(int(fd), line)
		if wrote > 0 {
			s.torn = wrote < len(line)
		}
		s.stalled = errors.Is(writeErr, errStalled)
		return true
	})
	if err != nil {
		return err
	}
	return writeErr
}

func (s *sink) writeAll(fd int, line []byte) (wrote int, err error) {
	deadline := time.Now().Add(patience)
	if s.stalled {
		deadline = time.Time{}
	}
	piece := pieceOf(fd, len(line))
	for wrote < len(line) {
		if err := awaitRoom(fd, deadline); err != nil {
			return wrote, err
		}
		n, err := s.sys(fd, line[wrote:min(wrote+piece, len(line))])
		wrote += max(n, 0)
		if err != nil && err != unix.EINTR && err != unix.EAGAIN {
			return wrote, err
		}
	}
	return wrote, nil
}

// pieceOf returns how much of a line of n bytes to write at once: all of it,
// except into a pipe, where a longer write could wait for room in its middle
// and is not kept whole anyway.
func pieceOf(fd, n int) int {
	if n <= pipeBuf {
		return n
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFIFO {
		return n // the write will say what is wrong
	}
	return pipeBuf
}

// awaitRoom waits until fd can be written to, even if it is blocking: a terminal
// that was stopped with Ctrl-S would block the process.
func awaitRoom(fd int, deadline time.Time) error {
	for {
		pfd := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		left := max(time.Until(deadline), 0)
		n, err := unix.Poll(pfd, int((left+time.Millisecond-1)/time.Millisecond))
		switch {
		case err != nil && err != unix.EINTR:
			return err
		case n > 0:
			return nil // room, or an error that write names
		case left == 0:
			return errStalled
		}
	}
}
