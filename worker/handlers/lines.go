package handlers

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

var errLineTooLong = errors.New("line too long")

// maxEmptyReads is how often in a row a reader may return neither bytes nor an error.
const maxEmptyReads = 100

// smallBuffer is the size of the buffer with which a connection waits.
const smallBuffer = 4 << 10

var smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}

// lines reads whole lines, as many at once as have arrived. Its buffer has at most
// the size of the longest line and its line feed, or smallBuffer if that is more.
//
//	buf  │ returned before │ complete lines │ part of a line │ free │
//	     0              taken            start               end   cap
type lines struct {
	max   int // bytes of a line without its line feed
	buf   []byte
	taken int
	start int
	end   int
	err   error

	small *[smallBuffer]byte // buf, if it is from the pool
}

// newLines returns a reader for lines of at most limit bytes. The caller calls
// release.
func newLines(limit int) *lines { return &lines{max: limit} }

// next returns one or more complete lines with their line feeds. It reads from r
// until there is one. The caller may change the bytes, which are valid until the next
// call.
//
// With io.EOF it returns a last line without a line feed, if there is one; with
// errLineTooLong, the complete lines before the long one.
func (l *lines) next(r io.Reader) ([]byte, error) {
	l.taken = l.start
	for empty := 0; l.err == nil; {
		l.makeRoom()
		n, err := r.Read(l.buf[l.end:])
		if n == 0 && err == nil {
			if empty++; empty == maxEmptyReads {
				err = io.ErrNoProgress
			}
		}
		l.end += n
		l.err = err
		if n > 0 {
			if serr := l.scan(l.end - n); serr != nil {
				l.err = serr
			}
		}
		if l.start > l.taken {
			break
		}
	}
	if l.start > l.taken {
		// The next call returns an error that came with lines, but for this one:
		// the client may wait for an answer before it sends more of the long line.
		if errors.Is(l.err, errLineTooLong) {
			return l.take(l.start), l.err
		}
		return l.take(l.start), nil
	}
	if errors.Is(l.err, io.EOF) {
		return l.take(l.end), l.err
	}
	return nil, l.err
}

// take returns the bytes up to end.
func (l *lines) take(end int) []byte {
	out := l.buf[l.taken:end]
	l.taken, l.start = end, end
	return out
}

// scan finds the end of the last complete line in what was read, which begins at from.
func (l *lines) scan(from int) error {
	if l.end-l.start <= l.max {
		if i := bytes.LastIndexByte(l.buf[from:l.end], '\n'); i >= 0 {
			l.start = from + i + 1
		}
		return nil
	}
	for {
		i := bytes.IndexByte(l.buf[from:l.end], '\n')
		if i < 0 {
			break
		}
		if from+i-l.start > l.max {
			return errLineTooLong
		}
		l.start = from + i + 1
		from = l.start
	}
	if l.end-l.start > l.max {
		return errLineTooLong
	}
	return nil
}

// makeRoom drops what was returned, and makes room for a read.
func (l *lines) makeRoom() {
	if l.taken > 0 {
		rest := l.buf[l.taken:l.end]
		if l.small == nil && len(rest) <= smallBuffer/2 {
			l.shrink(rest)
		} else {
			copy(l.buf, rest)
		}
		l.start -= l.taken
		l.end = len(rest)
		l.taken = 0
	}
	switch {
	case l.buf == nil:
		l.shrink(nil)
	case l.end == len(l.buf):
		l.grow()
	}
}

// shrink moves rest into a small buffer, because no long line is left.
func (l *lines) shrink(rest []byte) {
	l.small = smallBuffers.Get().(*[smallBuffer]byte)
	copy(l.small[:], rest)
	l.buf = l.small[:]
}

// grow doubles the buffer, up to the longest line.
func (l *lines) grow() {
	buf := make([]byte, min(2*len(l.buf), l.max+1))
	copy(buf, l.buf[:l.end])
	l.release()
	l.buf = buf
}

// release returns the memory to the pool. What next returned must not be used any
// more.
func (l *lines) release() {
	if l.small != nil {
		smallBuffers.Put(l.small)
	}
	l.small, l.buf = nil, nil
}
