package worker

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// Conn is an accepted connection: a net.Conn for handlers, crypto/tls, net/http and
// gRPC.
//
// It owns its descriptor, which the worker closes when the handler is done,
// or the Service when it calls Close. All methods may be called from any
// goroutine. Errors are *net.OpError as those of package net: net.ErrClosed after
// Close, Timeout() at a deadline; io.EOF is not wrapped. io.Copy from a Conn holds
// no buffer while it waits, and io.Copy of a regular file into one uses sendfile.
//
// During a drain a Read that waits for a silent client returns io.EOF after
// Config.DrainIdle, as if the client had closed. A Service's connections are
// exempt until it calls SetDrainIdle.
type Conn struct {
	*stream               // nil in mode Event
	event      eventState // only in mode Event
	listener   *listenerInfo
	remote     syscall.Sockaddr
	table      *connTable
	acceptedAt int64 // ipc.Now at accept

	local      atomic.Pointer[net.Addr] // LocalAddr, if the listener is a wildcard
	bytesIn    atomic.Uint64
	bytesOut   atomic.Uint64
	requests   atomic.Uint64 // that the handler or Service has counted
	drainIdle  atomic.Int64  // in ns: how long it may be silent in a drain; 0 is for ever
	forService bool          // the Service closes it

	closed    atomic.Bool // Close was called
	readEnded atomic.Bool // a Read has returned EOF or a lasting error
	peerReset atomic.Bool // the client has reset it
	wasCut    atomic.Bool // the worker has closed it while its handler ran
	counted   atomic.Bool // as handled or failed

	activity

	// Guarded by table.mu.
	next, prev            *Conn
	countedIn, countedOut uint64 // the bytes that are in the slot's counters
}

// stream is what a connection has outside of mode Event.
type stream struct {
	file *os.File // non-blocking: on Go's netpoller
	deadlines
	waits
}

// newConn takes ownership of fd, a non-blocking connected socket. Its system calls
// are those of os.NewFile: fcntl and epoll_ctl. On error fd is closed.
func newConn(fd int, from *listenerInfo, remote syscall.Sockaddr, t *connTable, now int64) (*Conn, error) {
	c := &Conn{stream: &stream{file: os.NewFile(uintptr(fd), from.network)}, listener: from, remote: remote, table: t, acceptedAt: now}
	c.drainIdle.Store(int64(t.cfg.DrainIdle))
	// If the netpoller does not take the descriptor (ENOSPC from epoll_ctl),
	// os.NewFile returns no error, but the file has no deadlines.
	if err := c.file.SetDeadline(time.Time{}); err != nil {
		go func() { _ = c.file.Close() }() // see reject
		return nil, c.opError("accept", err)
	}
	return c, nil
}

// Listener returns the name of the listener that the connection came through.
func (c *Conn) Listener() string { return c.listener.name }

// Draining returns a channel that is closed when the worker begins its final
// drain, so that a handler that would go on for long can come to an end.
func (c *Conn) Draining() <-chan struct{} { return c.table.draining }

// Doing describes what the handler does with the connection, such as "GET /report".
// The server's status shows it for the oldest unanswered request of each worker,
// until Doing is called again. Characters that cannot be printed are replaced, and
// the text is cut to ipc.MaxDoing bytes.
func (c *Conn) Doing(what string) {
	what = what[:min(len(what), ipc.MaxDoing)] // describe replaces the characters
	if last := c.doing.Load(); last == nil || *last != what {
		stored := what // or each call would allocate
		c.doing.Store(&stored)
	}
}

// BytesIn returns how many bytes have been read.
func (c *Conn) BytesIn() uint64 { return c.bytesIn.Load() }

// BytesOut returns how many bytes have been written.
func (c *Conn) BytesOut() uint64 { return c.bytesOut.Load() }

// RemoteAddr returns the client's address: a *net.TCPAddr or a *net.UnixAddr.
func (c *Conn) RemoteAddr() net.Addr { return netAddr(c.remote) }

// LocalAddr returns the address that the client connected to. If the listener is
// bound to all addresses, the first call is a system call.
func (c *Conn) LocalAddr() net.Addr {
	if !c.listener.wildcard {
		return c.listener.addr
	}
	if a := c.local.Load(); a != nil {
		return *a
	}
	addr := c.listener.addr // if the socket is closed
	_ = c.control("getsockname", func(fd int) error {
		sa, err := syscall.Getsockname(fd)
		if a := netAddr(sa); err == nil && a != nil {
			addr = a
			c.local.Store(&a)
		}
		return err
	})
	return addr
}

// Read reads what has arrived, and waits if nothing has.
func (c *Conn) Read(b []byte) (int, error) {
	if c.stream == nil {
		return 0, c.opError("read", errInEvent)
	}
	for {
		if err := c.beforeRead(); err != nil {
			return 0, err
		}
		n, err := c.file.Read(b)
		if err == nil {
			c.received(n)
			return n, nil
		}
		n, err, again := c.readFailed(b, err)
		if !again {
			return n, err
		}
	}
}

// writePiece is how many bytes of a write Config.WriteTimeout is for.
const writePiece = 256 << 10

// Write writes all of b, waiting while the client does not read. In mode Event it does
// not wait.
func (c *Conn) Write(b []byte) (n int, err error) {
	if c.stream == nil {
		return c.table.events.write(c, b)
	}
	defer func() { c.sent(n) }()
	for {
		if err := c.beforeWrite(); err != nil {
			return n, err
		}
		written, err := c.file.Write(b[n:min(len(b), n+writePiece)])
		n += written
		if err != nil {
			c.noteError(err)
			return n, c.opError("write", err)
		}
		if n == len(b) {
			return n, nil
		}
	}
}

// Close closes the connection. Reads and writes that wait return net.ErrClosed. In mode
// Event what was written is sent first.
func (c *Conn) Close() error {
	if c.stream == nil {
		return c.table.events.closeByHandler(c)
	}
	if c.closed.Swap(true) {
		return c.opError("close", net.ErrClosed)
	}
	err := c.file.Close()
	if c.forService {
		c.table.countEnd(c, false)
		c.table.recordServed(c)
		c.table.remove(c)
	}
	if err != nil {
		return c.opError("close", err)
	}
	return nil
}

// CloseWrite ends our side of the stream: the client reads EOF.
func (c *Conn) CloseWrite() error {
	if c.stream == nil {
		return c.table.events.closeWrite(c)
	}
	return c.endWrite()
}

// endWrite is CloseWrite without what mode Event has to send.
func (c *Conn) endWrite() error {
	return c.control("close", func(fd int) error {
		return os.NewSyscallError("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
	})
}

// CloseRead makes Read return EOF.
func (c *Conn) CloseRead() error {
	return c.control("close", func(fd int) error {
		return os.NewSyscallError("shutdown", unix.Shutdown(fd, unix.SHUT_RD))
	})
}

// SetNoDelay sets TCP_NODELAY, which is on by default. It does nothing on a Unix
// socket.
func (c *Conn) SetNoDelay(on bool) error {
	if c.listener.network != "tcp" {
		return nil
	}
	value := 0
	if on {
		value = 1
	}
	return c.control("set", func(fd int) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, value))
	})
}

// SyscallConn gives access to the descriptor, with the connection's deadlines and
// timeouts. Its bytes are not counted. In mode Event it has only Control, whose function
// must not call methods of c.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if c.stream == nil {
		return eventRawConn{c}, nil
	}
	raw, err := c.file.SyscallConn()
	if err != nil {
		return nil, c.opError("raw-control", err)
	}
	return &rawConn{conn: c, raw: raw}, nil
}

// control calls f with the descriptor, and does not wait for reads and writes.
func (c *Conn) control(op string, f func(fd int) error) error {
	var ferr error
	err := c.withDescriptor(func(fd int) { ferr = f(fd) })
	if err == nil {
		err = ferr
	}
	if err != nil {
		return c.opError(op, err)
	}
	return nil
}

// withDescriptor calls f with the descriptor, unless that is closed.
func (c *Conn) withDescriptor(f func(fd int)) error {
	if c.stream == nil {
		return c.table.events.withDescriptor(c, f)
	}
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) })
}

// opError turns err into the error that package net returns.
func (c *Conn) opError(op string, err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		err = pe.Err
	}
	var errno syscall.Errno
	switch {
	case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrClosed),
		c.closed.Load() && !errors.As(err, &errno): // of internal/poll, from a RawConn
		err = net.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = os.ErrDeadlineExceeded
	default:
		if e, ok := errors.AsType[syscall.Errno](err); ok {
			err = os.NewSyscallError(op, e)
		}
	}
	local := c.listener.addr
	if a := c.local.Load(); a != nil {
		local = *a
	}
	return &net.OpError{Op: op, Net: c.listener.network, Source: local, Addr: c.RemoteAddr(), Err: err}
}

// rawConn is the syscall.RawConn of a Conn.
type rawConn struct {
	conn *Conn
	raw  syscall.RawConn
}

func (r *rawConn) Control(f func(fd uintptr)) error {
	if err := r.raw.Control(f); err != nil {
		return r.conn.opError("raw-control", err)
	}
	return nil
}

func (r *rawConn) Read(f func(fd uintptr) bool) error {
	if err := r.conn.beforeRead(); err != nil {
		return err
	}
	if err := r.raw.Read(f); err != nil {
		return r.conn.opError("raw-read", err)
	}
	return nil
}

func (r *rawConn) Write(f func(fd uintptr) bool) error {
	if err := r.conn.beforeWrite(); err != nil {
		return err
	}
	if err := r.raw.Write(f); err != nil {
		return r.conn.opError("raw-write", err)
	}
	return nil
}
