package handlers

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"

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
type httpConn struct {
	net.Conn
	service *HTTPService
	closed  sync.Once
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
