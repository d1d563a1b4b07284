package handlers

import (
	"bytes"
	"errors"
	"io"
)

// errLineTooLong is returned by lines.next for a line over the limit.
var errLineTooLong = errors.New("line too long")

// maxEmptyReads is how often in a row a reader may return nothing at all.
const maxEmptyReads = 100

// lines reads whole lines, as many at once as have arrived, and holds no more
// than one line of the limit's length and the line feed after it, or
// smallBuffer bytes if that is more.
//
//	buf  │ given last time │ complete lines │ part of a line │ free │
//	     0              taken            start               end   cap
type lines struct {
	max   int // bytes of a line without its line feed
	buf   []byte
	taken int // up to here the caller has had everything
	start int // of the line that is not complete
	end   int // of what was read
	err   error

	small *[smallBuffer]byte // what buf is made of, if it is of the pool
}

// newLines returns a reader of lines of at most limit bytes. release must be
// called.
func newLines(limit int) *lines { return &lines{max: limit} }

// next returns what has arrived: one or more complete lines with their line
// feeds. It reads from r only if there is none, and only until there is one.
// The bytes are the caller's to change, and valid until the next call.
//
// With io.EOF come the bytes of a last line without a line feed, if any; with
// errLineTooLong the complete lines before the long one. Any other error is
// r's. After an error there is nothing more.
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
		// An error that came along with lines waits for the next call, but
		// for the long line: nobody may wait for more of it.
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

// take hands out all up to end.
func (l *lines) take(end int) []byte {
	out := l.buf[l.taken:end]
	l.taken, l.start = end, end
	return out
}

// scan looks through what was read from from on, and finds where the last
// complete line ends.
func (l *lines) scan(from int) error {
	if l.end-l.start <= l.max {
		// No line in here can be too long.
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

// makeRoom drops what the caller has had and sees to it that a read has room.
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

// shrink moves rest into a small buffer, so that only a connection in the
// middle of a long line owns a large one.
func (l *lines) shrink(rest []byte) {
	l.small = smallBuffers.Get().(*[smallBuffer]byte)
	copy(l.small[:], rest)
	l.buf = l.small[:]
}

// grow doubles the buffer, up to a line of the limit. scan has refused what
// would need more.
func (l *lines) grow() {
	buf := make([]byte, min(2*len(l.buf), l.max+1))
	copy(buf, l.buf[:l.end])
	l.recycle()
	l.buf = buf
}

func (l *lines) recycle() {
	if l.small != nil {
		smallBuffers.Put(l.small)
		l.small = nil
	}
}

// release gives the memory back. What next returned must not be used any more.
func (l *lines) release() {
	l.recycle()
	l.buf = nil
}
