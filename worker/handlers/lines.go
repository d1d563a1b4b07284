package handlers

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

var errLineTooLong = errors.New("line too long")

// completeLines returns the end of the last complete line in p, whose first searched
// bytes have no line feed. A line of more than limit bytes without its line feed is
// errLineTooLong; end is then that of the lines before it.
func completeLines(p []byte, searched, limit int) (end int, err error) {
	if len(p) <= limit {
		if i := bytes.LastIndexByte(p[searched:], '\n'); i >= 0 {
			end = searched + i + 1
		}
		return end, nil
	}
	for from := searched; ; from = end {
		i := bytes.IndexByte(p[from:], '\n')
		if i < 0 {
			break
		}
		if from+i-end > limit {
			return end, errLineTooLong
		}
		end = from + i + 1
	}
	if len(p)-end > limit {
		return end, errLineTooLong
	}
	return end, nil
}

const (
	upperBuffer = 32 << 10 // bytes of a buffer from the pool: what a connection reads at once
	smallRest   = 4 << 10  // a shorter part of a line has a buffer of its own size
)

var upperBuffers = sync.Pool{New: func() any { return new([upperBuffer]byte) }}

// upperLines is an io.Writer that answers each complete line in upper case. It has
// memory only for a part of a line whose rest has not come.
type upperLines struct {
	to      io.Writer
	maxLine int

	buf    []byte             // in upper case, not answered
	pooled *[upperBuffer]byte // buf's, if it is from the pool
}

// Write answers all lines that are complete at once.
func (u *upperLines) Write(p []byte) (int, error) {
	searched := len(u.buf)
	u.makeRoom(len(p))
	u.buf = u.buf[:searched+len(p)]
	upperCase(u.buf[searched:], p)
	end, err := completeLines(u.buf, searched, u.maxLine)
	if end > 0 {
		if _, werr := u.to.Write(u.buf[:end]); werr != nil {
			return 0, werr
		}
	}
	if err != nil {
		return 0, err
	}
	u.keep(u.buf[end:])
	return len(p), nil
}

// finish answers a last line without a line feed.
func (u *upperLines) finish() error {
	if len(u.buf) == 0 {
		return nil
	}
	_, err := u.to.Write(u.buf)
	return err
}

// makeRoom makes room for n bytes more.
func (u *upperLines) makeRoom(n int) {
	need := len(u.buf) + n
	if need <= cap(u.buf) {
		return
	}
	if need <= upperBuffer {
		pooled := upperBuffers.Get().(*[upperBuffer]byte)
		u.buf, u.pooled = append(pooled[:0], u.buf...), pooled // what buf had was not from the pool
		return
	}
	buf := append(make([]byte, 0, max(need, 2*len(u.buf))), u.buf...)
	u.release()
	u.buf = buf
}

// keep keeps rest, which is at the end of buf.
func (u *upperLines) keep(rest []byte) {
	switch {
	case len(rest) == 0:
		u.release()
	case len(rest) > smallRest:
		u.buf = u.buf[:copy(u.buf, rest)]
	case u.pooled != nil || len(rest) < len(u.buf):
		own := append(make([]byte, 0, min(2*len(rest), smallRest)), rest...)
		u.release()
		u.buf = own
	}
}

// release gives the memory back.
func (u *upperLines) release() {
	if u.pooled != nil {
		upperBuffers.Put(u.pooled)
	}
	u.buf, u.pooled = nil, nil
}
