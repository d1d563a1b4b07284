package handlers

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"prefork/worker"
)

// httpListener counts each connection before net/http sees it.
type httpListener struct {
	net.Listener
	service *HTTPService
}

func (l *httpListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.service.conns.Add(1)
	return &httpConn{Conn: conn, service: l.service}, nil
}

// httpConn counts as open until it is closed, also if it is hijacked.
//
// net/http sets six read deadlines a request, and nearly all while no Read waits. To
// set the timer of a connection is expensive, so that is left to the next Read.
type httpConn struct {
	net.Conn
	service *HTTPService
	closed  sync.Once

	reading atomic.Int32 // calls of Read at this moment
	stale   atomic.Bool  // the connection does not have readDeadline yet

	mu            sync.Mutex // guards what follows
	readDeadline  time.Time  // as it was set last
	applied       time.Time  // what the connection has
	writeDeadline bool       // one is set
}

// Read applies the deadline that was set before.
func (c *httpConn) Read(b []byte) (int, error) {
	c.reading.Add(1) // before stale is read: SetReadDeadline does the reverse
	defer c.reading.Add(-1)
	if c.stale.Load() {
		if err := c.applyDeadline(); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(b)
}

// longPast is later than the deadline with which net/http ends a Read.
var longPast = time.Unix(1e9, 0)

// errReadEnded has no addresses, because to make them for each request is expensive.
var errReadEnded error = &net.OpError{Op: "read", Net: "http", Err: os.ErrDeadlineExceeded}

// applyDeadline sets the timer. It returns errReadEnded instead if the deadline was set
// to end a Read that had not begun.
func (c *httpConn) applyDeadline() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.readDeadline; !t.IsZero() && t.Before(longPast) {
		return errReadEnded
	}
	return c.applyLocked()
}

// applyLocked leaves the timer if the new deadline is later by less than 1/64 of the time
// that is left, as that of the next request is on a busy connection.
func (c *httpConn) applyLocked() error {
	c.stale.Store(false)
	t := c.readDeadline
	if t.IsZero() && c.applied.IsZero() {
		return nil
	}
	if !t.IsZero() && !c.applied.IsZero() {
		if later := t.Sub(c.applied); later >= 0 && later < time.Until(t)/64 {
			return nil
		}
	}
	if err := c.Conn.SetReadDeadline(t); err != nil {
		return err
	}
	c.applied = t
	return nil
}

// SetReadDeadline sets the timer now only if a Read waits.
func (c *httpConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readDeadline = t
	c.stale.Store(true)
	if c.reading.Load() > 0 {
		return c.applyLocked()
	}
	return nil
}

// SetWriteDeadline is called for each request, also if there is none.
func (c *httpConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.IsZero() && !c.writeDeadline {
		return nil
	}
	c.writeDeadline = !t.IsZero()
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline sets both.
func (c *httpConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *httpConn) Close() error {
	err := c.Conn.Close()
	c.closed.Do(c.service.conns.Done)
	return err
}

// ReadFrom lets net/http send a file with the connection's sendfile.
func (c *httpConn) ReadFrom(r io.Reader) (int64, error) {
	if rf, ok := c.Conn.(io.ReaderFrom); ok {
		return rf.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}

// CloseWrite lets net/http finish an answer before it closes.
func (c *httpConn) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return errors.ErrUnsupported
}

// workerConn returns the worker's connection that c is, or that TLS runs over;
// nil if the listener was wrapped and c is something else.
func workerConn(c net.Conn) *worker.Conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if h, ok := c.(*httpConn); ok {
		c = h.Conn
	}
	w, _ := c.(*worker.Conn)
	return w
}
