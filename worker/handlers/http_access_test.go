package handlers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"prefork/worker"
)

// ledger imitates the worker's access log.
type ledger struct {
	whole bool // a record per connection instead of a line per request
	none  bool // no records of successes

	mu   sync.Mutex
	text bytes.Buffer
}

func (l *ledger) Requests() bool         { return !l.whole }
func (l *ledger) Wants(failed bool) bool { return failed || !l.none }

func (l *ledger) Write(line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(line)
}

// lines waits until there are n lines and returns them.
func (l *ledger) lines(t *testing.T, n int) []string {
	t.Helper()
	var text string
	for deadline := time.Now().Add(testPatience); time.Now().Before(deadline); <-time.After(time.Millisecond) {
		l.mu.Lock()
		text = l.text.String()
		l.mu.Unlock()
		if strings.Count(text, "\n") >= n {
			break
		}
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != n || !strings.HasSuffix(text, "\n") {
		t.Fatalf("want %d lines:\n%s", n, text)
	}
	return lines
}

// loggedService runs a handler with an access log.
func loggedService(t *testing.T, l *ledger, h http.HandlerFunc) *running {
	t.Helper()
	s := HTTPServer(newTestServer(h))
	s.LameDuck = time.Millisecond
	s.HandleAccessLog(l)
	r := run(t, s)
	return r
}

const commonLine = `^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [-+]\d{4}\] "([A-Z]+) ([!-~]+) (HTTP/1\.[01])" (\d{3}) (\d+|-)$`

func TestARequestIsOneLineInTheCommonFormat(t *testing.T) {
	l := &ledger{}
	r := loggedService(t, l, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/nothing":
		case "/hint":
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusTeapot)
		case "/panic":
			panic(http.ErrAbortHandler)
		case "/moved":
			r.Method, r.RequestURI, r.URL.Path = "BREW", "/elsewhere", "/elsewhere"
			fallthrough
		default:
			_, _ = io.WriteString(w, "hello")
			_, _ = w.Write([]byte("!"))
		}
	})
	for _, test := range []struct{ request, want string }{
		{"GET /a?b=c%20d HTTP/1.1", "GET /a?b=c%20d HTTP/1.1 200 6"},
		{"HEAD /a HTTP/1.1", "HEAD /a HTTP/1.1 200 -"},
		{"GET /nothing HTTP/1.0", "GET /nothing HTTP/1.0 200 -"},
		{"GET /hint HTTP/1.1", "GET /hint HTTP/1.1 418 -"},
		{"DELETE /panic HTTP/1.1", "DELETE /panic HTTP/1.1 500 -"},
		{"GET /moved HTTP/1.1", "GET /moved HTTP/1.1 200 6"},
	} {
		c := r.dial()
		fmt.Fprintf(c.conn, "%s\r\nHost: t\r\nConnection: close\r\n\r\n", test.request)
		_, _ = io.ReadAll(c.r)
		line := l.lines(t, 1)[0]
		m := regexp.MustCompile(commonLine).FindStringSubmatch(line)
		if m == nil || strings.Join(m[1:], " ") != test.want {
			t.Errorf("%s: %s, want %s", test.request, line, test.want)
		}
		l.text.Reset()
	}
}

func TestNoClientCanForgeALogLine(t *testing.T) {
	l := &ledger{}
	h := HTTPServer(newTestServer(hello))
	h.HandleAccessLog(l)
	forged := "/\" 200 1\n127.0.0.1 - - [x] \"GET /\x1b[31m\x00\x7f\u2028é\\"
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Method, r.RequestURI, r.Proto = "G\"\nT", forged, "HTTP/1.1\r\n"
	r.RemoteAddr = "/tmp/a b\n\"" // the client of a Unix socket chooses its name
	h.server.Handler.ServeHTTP(httptest.NewRecorder(), r)
	line := l.lines(t, 1)[0]
	want := `^/tmp/a\\x20b\\x0A\\x22 - - \[[^]"]+\] "G\\x22\\x0AT /\\x22\\x20200\\x201\\x0A127\.0\.0\.1\\x20-\\x20-\\x20\[x\]\\x20\\x22GET` +
		`\\x20/\\x1B\[31m\\x00\\x7F\\xE2\\x80\\xA8\\xC3\\xA9\\x5C HTTP/1\.1\\x0D\\x0A" 200 5$`
	if !regexp.MustCompile(want).MatchString(line) {
		t.Errorf("%s\nwant %s", line, want)
	}
	l.text.Reset()
	r.RequestURI, r.Method, r.RemoteAddr = strings.Repeat("\n", 1<<20), strings.Repeat("G", 1<<10), strings.Repeat("\"", 1<<10)
	h.server.Handler.ServeHTTP(httptest.NewRecorder(), r)
	if line := l.lines(t, 1)[0]; len(line) >= 4096 || strings.Count(line, "...") != 3 {
		t.Errorf("a line of %d bytes: %s", len(line), line)
	}
}

func TestASampleOfRequestsLeavesNoFailureOut(t *testing.T) {
	l := &ledger{none: true}
	r := loggedService(t, l, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fail" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	c := r.dial()
	for _, path := range []string{"/", "/fail", "/"} {
		if err := c.send(path); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.answer(); err != nil {
			t.Fatal(err)
		}
	}
	if line := l.lines(t, 1)[0]; !strings.Contains(line, `"GET /fail HTTP/1.1" 503 -`) {
		t.Error(line)
	}
}

func TestALoggedHandlerHasTheSameInterfaces(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page")
	if err := os.WriteFile(page, bytes.Repeat([]byte("x"), 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	l := &ledger{}
	r := loggedService(t, l, func(w http.ResponseWriter, r *http.Request) {
		_, flusher := w.(http.Flusher)
		_, hijacker := w.(http.Hijacker)
		_, from := w.(io.ReaderFrom)
		_, text := w.(io.StringWriter)
		_, pusher := w.(http.Pusher)
		if !flusher || !hijacker || !from || !text || pusher {
			t.Errorf("Flusher %v, Hijacker %v, ReaderFrom %v, StringWriter %v, Pusher %v", flusher, hijacker, from, text, pusher)
		}
		control := http.NewResponseController(w)
		switch r.URL.Path {
		case "/file":
			http.ServeFile(w, r, page)
		case "/flush":
			err := errors.Join(control.EnableFullDuplex(), control.SetWriteDeadline(time.Now().Add(time.Hour)), control.Flush())
			if err != nil {
				t.Error(err)
			}
		case "/hijack":
			conn, rw, err := control.Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = rw.WriteString("mine")
			_ = rw.Flush()
			_ = conn.Close()
		}
	})
	for _, path := range []string{"/file", "/flush", "/hijack"} {
		c := r.dial()
		fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", path)
		_, _ = io.ReadAll(c.r)
	}
	text := strings.Join(l.lines(t, 3), "\n")
	for _, want := range []string{`/file HTTP/1.1" 200 100000`, `/flush HTTP/1.1" 200 -`, `/hijack HTTP/1.1" 101 -`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

// fileTaker is a ResponseWriter that records the reader passed to ReadFrom.
type fileTaker struct {
	http.ResponseWriter
	from io.Reader
}

func (f *fileTaker) ReadFrom(r io.Reader) (int64, error) { f.from = r; return 7, nil }

func (f *fileTaker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, http.ErrNotSupported
}

// sendfile is used only if net/http gets an *os.File.
func TestAFileReachesSendfileThroughTheLog(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	behind := &fileTaker{ResponseWriter: httptest.NewRecorder()}
	w, a := wrapResponse(behind)
	if _, err := w.(io.ReaderFrom).ReadFrom(file); err != nil || behind.from != io.Reader(file) || a.bytes != 7 || a.status != http.StatusOK {
		t.Errorf("read from %T, %v, counted %+v", behind.from, err, a)
	}
}

func TestTheLogKnowsHTTP2(t *testing.T) {
	donor := httptest.NewUnstartedServer(nil)
	donor.EnableHTTP2 = true
	donor.StartTLS()
	defer donor.Close()
	l := &ledger{}
	srv := newTestServer(func(w http.ResponseWriter, r *http.Request) {
		_, flusher := w.(http.Flusher)
		_, hijacker := w.(http.Hijacker)
		_, pusher := w.(http.Pusher)
		if !flusher || hijacker || !pusher {
			t.Errorf("Flusher %v, Hijacker %v, Pusher %v", flusher, hijacker, pusher)
		}
		_, _ = io.WriteString(w, r.Proto)
	})
	srv.TLSConfig = donor.TLS.Clone()
	srv.TLSConfig.NextProtos = []string{"h2"}
	s := HTTPServer(srv)
	s.LameDuck = time.Millisecond
	s.HandleAccessLog(l)
	r := run(t, s)
	client := donor.Client()
	resp, err := client.Get("https://" + r.addr + "/two")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if line := l.lines(t, 1)[0]; !strings.Contains(line, `"GET /two HTTP/2.0" 200 8`) {
		t.Error(line)
	}
	client.CloseIdleConnections()
	r.drain()
}

var _ worker.AccessLog = (*ledger)(nil)
