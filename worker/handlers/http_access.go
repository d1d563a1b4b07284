package handlers

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"prefork/worker"
)

var _ worker.AccessLogger = (*HTTPService)(nil)

// HandleAccessLog implements worker.AccessLogger. In the common log format each
// request is a line:
//
//	192.0.2.7 - - [02/Jan/2006:15:04:05 -0700] "GET /path HTTP/1.1" 200 1234
//
// It is written when the handler has returned, with the time at which it began.
// The name of a user is not told: nobody here has checked it. An answer of 500
// and above counts as failed, and so is never left out of a sample. Requests
// that net/http refuses itself, with 400 or 431, do not reach the handler and
// are not in the log.
//
// In the JSON format the worker writes a record for each connection, in which
// the requests are counted.
func (s *HTTPService) HandleAccessLog(a worker.AccessLog) {
	next := s.server.Handler
	if a.Requests() {
		s.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			serveLogged(a, next, w, r)
		})
		return
	}
	s.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := connOf(r); c != nil {
			c.CountRequest()
		}
		next.ServeHTTP(w, r)
	})
}

// serveLogged serves a request and writes its line, also if the handler panics.
func serveLogged(a worker.AccessLog, next http.Handler, w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	// What the client has sent, whatever the handler makes of it.
	method, uri, proto, remote := r.Method, r.RequestURI, r.Proto, r.RemoteAddr
	watched, answer := wrapResponse(w)
	returned := false
	defer func() {
		status := answer.finalStatus(returned)
		if !a.Wants(status >= http.StatusInternalServerError) {
			return
		}
		buf := lineBuffers.Get().(*[]byte)
		defer lineBuffers.Put(buf)
		b := appendEscaped((*buf)[:0], hostOf(remote), maxHost)
		b = begin.AppendFormat(append(b, " - - ["...), "02/Jan/2006:15:04:05 -0700")
		b = appendEscaped(append(b, `] "`...), method, maxMethod)
		b = appendEscaped(append(b, ' '), uri, maxURI)
		b = appendEscaped(append(b, ' '), proto, maxMethod)
		b = strconv.AppendInt(append(b, `" `...), int64(status), 10)
		b = append(b, ' ')
		if answer.bytes > 0 && method != http.MethodHead {
			b = strconv.AppendInt(b, answer.bytes, 10)
		} else {
			b = append(b, '-')
		}
		*buf = append(b, '\n')
		a.Write(*buf)
	}()
	next.ServeHTTP(watched, r)
	returned = true
}

var lineBuffers = sync.Pool{New: func() any { return new([]byte) }}

// The longest parts of a line, in bytes and escaped; what is longer is cut.
// Together they are short of what a pipe takes in one piece, 4096.
const (
	maxHost   = 256
	maxMethod = 64
	maxURI    = 3 << 10
)

// hostOf returns the host of an address, "-" if it has none. The client of a
// Unix socket has a path at best.
func hostOf(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		remote = host
	}
	if remote == "" || remote == "@" {
		return "-"
	}
	return remote
}

// appendEscaped appends s without a byte that could end the line or its field,
// or that is no text in ASCII: as Apache and nginx do, it becomes \xHH.
func appendEscaped(b []byte, s string, limit int) []byte {
	const hex = "0123456789ABCDEF"
	const reserve = len(`\xHH...`)
	end := len(b) + limit
	for i := range len(s) {
		if len(b)+reserve > end {
			return append(b, "..."...)
		}
		switch c := s[i]; {
		case c <= ' ' || c >= 0x7f || c == '"' || c == '\\':
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return b
}

// loggedResponse is what became of a request. It is the handler's http.ResponseWriter,
// with net/http's own behind it.
type loggedResponse struct {
	http.ResponseWriter
	status int // 0 before the header is written
	bytes  int64
}

// wrapResponse returns what the handler is to write to. It offers what net/http's own
// writer does, which depends on the protocol, so that a handler that asks for
// an interface gets the answer that it would get without a log; all else is
// found by http.ResponseController, through Unwrap.
func wrapResponse(w http.ResponseWriter) (http.ResponseWriter, *loggedResponse) {
	a := &loggedResponse{ResponseWriter: w}
	if _, ok := w.(http.Hijacker); ok {
		return &loggedHTTP1{a}, a
	}
	if _, ok := w.(http.Pusher); ok {
		return &loggedHTTP2{a}, a
	}
	return a, a
}

// finalStatus is the status that the client has seen, or would have.
func (a *loggedResponse) finalStatus(returned bool) int {
	switch {
	case a.status != 0:
		return a.status
	case !returned:
		return http.StatusInternalServerError // a panic: the connection is closed instead
	}
	return http.StatusOK // net/http writes it for a handler that wrote nothing
}

// noteHeader notes that the header is written now, if it was not before.
func (a *loggedResponse) noteHeader() {
	if a.status == 0 {
		a.status = http.StatusOK
	}
}

// Unwrap is for http.ResponseController.
func (a *loggedResponse) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader notes the first status that is final: 103 is only a hint.
func (a *loggedResponse) WriteHeader(status int) {
	if a.status == 0 && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *loggedResponse) Write(p []byte) (int, error) {
	a.noteHeader()
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// WriteString spares the handler a copy, as net/http's own does.
func (a *loggedResponse) WriteString(s string) (int, error) {
	a.noteHeader()
	n, err := io.WriteString(a.ResponseWriter, s)
	a.bytes += int64(n)
	return n, err
}

// Flush implements http.Flusher.
func (a *loggedResponse) Flush() { _ = a.FlushError() } // as http.Flusher has it

// FlushError is Flush for http.ResponseController.
func (a *loggedResponse) FlushError() error {
	a.noteHeader()
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// loggedHTTP1 is an answer in HTTP/1.
type loggedHTTP1 struct{ *loggedResponse }

// ReadFrom lets a file reach the connection's sendfile.
func (a *loggedHTTP1) ReadFrom(r io.Reader) (int64, error) {
	a.noteHeader()
	var n int64
	var err error
	if rf, ok := a.ResponseWriter.(io.ReaderFrom); ok {
		n, err = rf.ReadFrom(r)
	} else {
		n, err = io.Copy(struct{ io.Writer }{a.ResponseWriter}, r)
	}
	a.bytes += n
	return n, err
}

// Hijack implements http.Hijacker. What follows on the connection is the
// handler's, and not in the log.
func (a *loggedHTTP1) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h, ok := a.ResponseWriter.(http.Hijacker)
	if !ok {
		return nil, nil, http.ErrNotSupported
	}
	conn, rw, err := h.Hijack()
	if err == nil && a.status == 0 {
		a.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

// loggedHTTP2 is an answer in HTTP/2.
type loggedHTTP2 struct{ *loggedResponse }

// Push implements http.Pusher.
func (a *loggedHTTP2) Push(target string, o *http.PushOptions) error {
	p, ok := a.ResponseWriter.(http.Pusher)
	if !ok {
		return http.ErrNotSupported
	}
	return p.Push(target, o)
}
