package handlers

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// longAgo is a read deadline that wakes a Read at once.
var longAgo = time.Unix(1, 0)

// httpListener notes every connection before net/http sees it.
type httpListener struct {
	net.Listener
	service *HTTPService
}

func (l *httpListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &httpConn{Conn: conn, service: l.service}
	c.waiting.Store(true)
	l.service.add(c)
	return c, nil
}

// httpConn is a connection that can be asked to close once it has nothing to
// say. It never is closed from outside: net/http reads it all the time, so its
// Read is woken by a deadline, looks once more for bytes that have come, and
// only then says EOF. Thus no byte that net/http has already read, nor one that
// waits in the socket, is ever thrown away.
type httpConn struct {
	net.Conn
	service *HTTPService
	closed  sync.Once
	waiting atomic.Bool   // no request is in hand
	reads   atomic.Uint64 // that brought something

	// The sweep's, guarded by service.mu.
	seen        uint64    // reads, at the last sweep
	silentSince time.Time // zero before the first sweep

	mu       sync.Mutex // guards what follows
	deadline time.Time  // for reads, as net/http wants it
	woken    bool       // longAgo stands in for deadline
	moved    bool       // it did, until a new deadline came
}

// silence returns for how long c has brought no byte, as far as sweeps have
// seen it: they begin with the drain. The caller holds service.mu.
func (c *httpConn) silence(now time.Time) time.Duration {
	if n := c.reads.Load(); n != c.seen || c.silentSince.IsZero() || !c.waiting.Load() {
		c.seen, c.silentSince = n, now
	}
	return now.Sub(c.silentSince)
}

// wake makes a Read that waits look around.
func (c *httpConn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.woken = true
	// It fails only for a connection that is closed, which is as well.
	_ = c.Conn.SetReadDeadline(longAgo)
}

// Read says EOF when it is woken, no request is in hand, and none has begun to
// arrive.
func (c *httpConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if n > 0 {
			c.reads.Add(1)
			return n, err
		}
		if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
			return n, err
		}
		woken, expired := c.restore()
		if expired {
			return 0, err
		}
		if woken && c.waiting.Load() && !c.buffered() {
			return 0, io.EOF
		}
		// The request came first.
	}
}

// restore puts net/http's deadline back after a wake. It reports whether a
// wake is what ended the Read, and whether a time limit did: net/http's
// deadline, or one that the connection itself keeps.
func (c *httpConn) restore() (woken, expired bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	woken = c.woken
	mistaken := woken || c.moved
	c.woken, c.moved = false, false
	if woken {
		_ = c.Conn.SetReadDeadline(c.deadline) // the next Read tells
	}
	passed := !c.deadline.IsZero() && !time.Now().Before(c.deadline)
	return woken, passed || !mistaken
}

// buffered reports whether the socket holds bytes that nobody has read.
func (c *httpConn) buffered() bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	found := false
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		for {
			n, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
			if !errors.Is(err, unix.EINTR) {
				found = err == nil && n > 0
				return
			}
		}
	})
	return err == nil && found
}

// SetReadDeadline is net/http's or the request handler's.
func (c *httpConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.move(t)
	return c.Conn.SetReadDeadline(t)
}

// SetDeadline sets both deadlines.
func (c *httpConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.move(t)
	return c.Conn.SetDeadline(t)
}

// move takes a new deadline. A Read that the wake before it has already ended
// must not take that for a time limit. The caller holds mu.
func (c *httpConn) move(t time.Time) {
	c.deadline, c.moved, c.woken = t, c.moved || c.woken, false
}

// Close closes the connection. Its service counts it until then.
func (c *httpConn) Close() error {
	err := c.Conn.Close()
	c.closed.Do(func() { c.service.remove(c) })
	return err
}

// ReadFrom lets a file reach the connection's sendfile.
func (c *httpConn) ReadFrom(r io.Reader) (int64, error) {
	if rf, ok := c.Conn.(io.ReaderFrom); ok {
		return rf.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}

// CloseWrite lets net/http end an answer without cutting it off.
func (c *httpConn) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SyscallConn gives access to the descriptor, if the connection has one.
func (c *httpConn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}
