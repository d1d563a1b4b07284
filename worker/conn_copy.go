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

// copyBuffer is the size of the buffers that io.Copy moves bytes through.
const copyBuffer = 32 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

// WriteTo copies until EOF, for io.Copy from the connection. While it waits it
// holds no buffer, so a thousand idle connections cost no memory.
func (c *Conn) WriteTo(w io.Writer) (total int64, err error) {
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
	try  func(fd uintptr) bool // attempt, bound once
	buf  *[copyBuffer]byte     // nil while it waits
	n    int                   // of the last attempt
	err  error
}

// next waits for bytes and returns them; they are valid until it is called
// again. The error is what Read would have returned.
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

// attempt reads once. It runs inside RawConn.Read, which waits when it says
// false.
func (p *copyReader) attempt(fd uintptr) bool {
	p.takeBuffer()
	for {
		p.n, p.err = unix.Read(int(fd), p.buf[:])
		if p.err != unix.EINTR {
			break
		}
	}
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

// ReadFrom copies from r until EOF, for io.Copy into the connection. A regular
// file, also behind an io.LimitedReader, goes by sendfile(2). Config's
// WriteTimeout holds for each piece, not for the whole.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	n, handled, err := c.sendFile(r)
	if handled || err != nil {
		return n, err
	}
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	return io.CopyBuffer(onlyWriter{c}, r, buf[:])
}

// onlyWriter keeps io.Copy from coming back to ReadFrom.
type onlyWriter struct{ io.Writer }

// sendFile sends r if it is a regular file. If it is not, or the kernel does
// not want to, handled is false and nothing has been sent.
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
		return 0, false, nil //nolint:nilerr // reading it will say what is wrong
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
			return 0, false, nil // a file system that cannot
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

// rawControl and rawWrite are the halves of syscall.RawConn that sendPiece
// needs.
type (
	rawControl interface{ Control(func(fd uintptr)) error }
	rawWrite   interface {
		Write(func(fd uintptr) bool) error
	}
)

// sendPiece waits until some of the file can be sent and sends that.
func (c *Conn) sendPiece(to rawWrite, from rawControl, limit int64) (int64, error) {
	const piece = 4 << 20
	if err := c.beforeWrite(); err != nil {
		return 0, err
	}
	var n int
	var serr error
	err := to.Write(func(out uintptr) bool {
		cerr := from.Control(func(in uintptr) {
			for {
				n, serr = unix.Sendfile(int(out), int(in), nil, int(min(limit, piece)))
				if serr != unix.EINTR {
					return
				}
			}
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
