package worker

import (
	"errors"
	"io"
	"math"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// copyBuffer is the size of io.Copy's buffers.
const copyBuffer = 32 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

// WriteTo copies until EOF, for io.Copy from the connection. It holds no buffer
// while it waits, so idle connections cost no memory.
func (c *Conn) WriteTo(w io.Writer) (total int64, err error) {
	if c.stream == nil {
		return 0, c.opError("read", errInEvent)
	}
	raw, err := c.file.SyscallConn()
	if err != nil {
		return 0, c.opError("read", err)
	}
	p := copyReader{conn: c, raw: raw}
	p.try = p.attempt
	defer p.returnBuffer()
	for {
		b, err := p.next()
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		n, err := w.Write(b)
		total += int64(n)
		if err != nil {
			return total, err
		}
		if n < len(b) {
			return total, io.ErrShortWrite
		}
	}
}

// copyReader reads for WriteTo.
type copyReader struct {
	conn *Conn
	raw  syscall.RawConn
	try  func(fd uintptr) bool // attempt, allocated once
	buf  *[copyBuffer]byte     // nil while it waits
	n    int                   // of the last attempt
	err  error
}

// next is Read into a buffer that is valid until the next call.
func (p *copyReader) next() ([]byte, error) {
	for {
		if err := p.conn.beforeRead(); err != nil {
			return nil, err
		}
		p.n, p.err = 0, nil
		err := p.raw.Read(p.try)
		switch {
		case err == nil && p.err != nil:
			err = p.err
		case err == nil && p.n == 0:
			err = io.EOF
		case err == nil:
			p.conn.received(p.n)
			return p.buf[:p.n], nil
		}
		p.takeBuffer()
		n, err, again := p.conn.readFailed(p.buf[:], err)
		if !again {
			return p.buf[:n], err
		}
	}
}

// attempt reads once, for RawConn.Read, which waits if the result is false.
func (p *copyReader) attempt(fd uintptr) bool {
	p.takeBuffer()
	p.n, p.err = ignoreEINTR(func() (int, error) { return unix.Read(int(fd), p.buf[:]) })
	if p.err == unix.EAGAIN {
		p.returnBuffer()
		return false
	}
	return true
}

func (p *copyReader) takeBuffer() {
	if p.buf == nil {
		p.buf = copyBuffers.Get().(*[copyBuffer]byte)
	}
}

func (p *copyReader) returnBuffer() {
	if p.buf != nil {
		copyBuffers.Put(p.buf)
		p.buf = nil
	}
}

// ignoreEINTR calls f until no signal interrupts it.
func ignoreEINTR(f func() (int, error)) (n int, err error) {
	for {
		if n, err = f(); err != unix.EINTR {
			return n, err
		}
	}
}

// ReadFrom copies from r until EOF, for io.Copy into the connection. A regular
// file, also in an io.LimitedReader, is sent with sendfile(2). Config.WriteTimeout
// limits each piece, not the whole.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	if c.stream == nil {
		return 0, c.opError("write", errInEvent)
	}
	n, handled, err := c.sendFile(r)
	if handled || err != nil {
		return n, err
	}
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	return io.CopyBuffer(onlyWriter{c}, r, buf[:])
}

// onlyWriter hides ReadFrom from io.Copy.
type onlyWriter struct{ io.Writer }

// sendFile sends r if it is a regular file. handled is false if it is not, or if
// its file system does not support sendfile; then nothing has been sent.
func (c *Conn) sendFile(r io.Reader) (total int64, handled bool, err error) {
	limit := int64(math.MaxInt64)
	limited, _ := r.(*io.LimitedReader)
	if limited != nil {
		r, limit = limited.R, limited.N
	}
	file, ok := r.(*os.File)
	if !ok {
		return 0, false, nil
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return 0, false, nil //nolint:nilerr // the copy returns the error
	}
	from, err := file.SyscallConn()
	if err != nil {
		return 0, false, nil //nolint:nilerr // as above
	}
	to, err := c.file.SyscallConn()
	if err != nil {
		return 0, true, c.opError("write", err)
	}
	for total < limit {
		n, err := c.sendPiece(to, from, limit-total)
		total += n
		if limited != nil {
			limited.N -= n
		}
		c.sent(int(n))
		if total == 0 && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP)) {
			return 0, false, nil
		}
		if err != nil {
			c.noteError(err)
			return total, true, c.opError("sendfile", err)
		}
		if n == 0 {
			break
		}
	}
	return total, true, nil
}

// sendPiece waits until the client can take more, and sends what it takes.
func (c *Conn) sendPiece(to, from syscall.RawConn, limit int64) (int64, error) {
	const piece = 4 << 20
	if err := c.beforeWrite(); err != nil {
		return 0, err
	}
	var n int
	var serr error
	err := to.Write(func(out uintptr) bool {
		cerr := from.Control(func(in uintptr) {
			n, serr = ignoreEINTR(func() (int, error) {
				return unix.Sendfile(int(out), int(in), nil, int(min(limit, piece)))
			})
		})
		if cerr != nil {
			serr = cerr
		}
		return serr != unix.EAGAIN
	})
	if err == nil {
		err = serr
	}
	return int64(max(n, 0)), err
}
