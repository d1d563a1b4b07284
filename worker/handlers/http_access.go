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
// It is written when the handler has returned, and has the time at which it began.
// There is no user name, because this package authenticates nobody. An answer of 500
// and above counts as failed, so no sample leaves it out. Requests that net/http
// itself refuses, with 400 or 431, are not in the log.
//
// In the JSON format the worker writes a record for each connection, with the number
// of its requests.
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
	// Copies, because the handler may change r.
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

// The longest parts of a line in bytes, escapes included. Together they are shorter
// than what a pipe takes in one piece, 4096.
const (
	maxHost   = 256
	maxMethod = 64
	maxURI    = 3 << 10
)

// hostOf returns the host or the path of an address, and "-" if it has none.
func hostOf(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		remote = host
	}
	if remote == "" || remote == "@" {
		return "-"
	}
	return remote
}

// appendEscaped appends at most limit bytes of s. It escapes spaces, quotes, control
// characters and what is not ASCII as \xHH, as Apache and nginx do.
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

// loggedResponse is the handler's http.ResponseWriter. It counts what net/http's own
// one gets.
type loggedResponse struct {
	http.ResponseWriter
	status int // 0 before the header is written
	bytes  int64
}

// wrapResponse returns a writer for the handler with the interfaces that w has, which
// depend on the protocol. http.ResponseController finds the others through Unwrap.
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

// finalStatus is the status of the answer.
func (a *loggedResponse) finalStatus(returned bool) int {
	switch {
	case a.status != 0:
		return a.status
	case !returned:
		return http.StatusInternalServerError // a panic: net/http closes the connection
	}
	return http.StatusOK
}

// noteHeader is called before the body is written.
func (a *loggedResponse) noteHeader() {
	if a.status == 0 {
		a.status = http.StatusOK
	}
}

// Unwrap is for http.ResponseController.
func (a *loggedResponse) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader notes the final status, which 103, for example, is not.
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

// WriteString avoids a copy, as net/http's own does.
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

// loggedHTTP1 is a response in HTTP/1.
type loggedHTTP1 struct{ *loggedResponse }

// ReadFrom lets net/http send a file with sendfile.
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

// Hijack implements http.Hijacker. What follows on the connection is not in the log.
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

// loggedHTTP2 is a response in HTTP/2.
type loggedHTTP2 struct{ *loggedResponse }

// Push implements http.Pusher.
func (a *loggedHTTP2) Push(target string, o *http.PushOptions) error {
	p, ok := a.ResponseWriter.(http.Pusher)
	if !ok {
		return http.ErrNotSupported
	}
	return p.Push(target, o)
}
