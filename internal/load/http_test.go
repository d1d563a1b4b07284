package load

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// httpURL is plain for http.
func httpURL(t testing.TB, serve func(*net.TCPConn, int)) string {
	return "http" + strings.TrimPrefix(plain(t, serve), "tcp")
}

func TestEachFormOfAnHTTPAnswerIsUnderstood(t *testing.T) {
	always := func(reply string, more bool) func(int, string) (string, bool) {
		return func(int, string) (string, bool) { return reply, more }
	}
	for _, c := range []struct {
		name   string
		answer func(int, string) (string, bool)
		o      Options
		conns  uint64 // at least
	}{
		{"length", always(ok("hello"), true), Options{Reply: "hello"}, 2},
		{"no body", always("HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", true), Options{}, 2},
		{"chunked", always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n", true), Options{Reply: "hello!"}, 2},
		{"announced close", always("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", false), Options{}, 20},
		{"until close", always("HTTP/1.1 200 OK\r\n\r\nhello", false), Options{Reply: "hello"}, 20},
		{"1.0", always("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false), Options{}, 20},
		{"1.0 keep-alive", always("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", true), Options{}, 2},
		{"HEAD", always("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", true), Options{Method: "HEAD"}, 2},
		{"204", always("HTTP/1.1 204 No Content\r\n\r\n", true), Options{}, 2},
		{"continue", always("HTTP/1.1 100 Continue\r\n\r\n"+ok("x"), true), Options{}, 2},
		{"404 is expected", always("HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx", true), Options{Expect: "status:404"}, 2},
		{"a match", always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", true), Options{Expect: "regex:^hel+o!$"}, 2},
		{"a match with a line's end", always(ok("hello\r\n"), true), Options{Expect: "regex:^hello$"}, 2},
		{"a match until close", always("HTTP/1.1 200 OK\r\n\r\nhello", false), Options{Expect: "regex:^hello$"}, 20},
		{"matches in a pipeline", always(ok("hello"), true), Options{Pipeline: 5, Expect: "regex:^hello$"}, 2},
		{"pipeline", always(ok("hello"), true), Options{Pipeline: 5, Reply: "hello"}, 2},
		{"churn", always(ok("hello"), false), Options{Mode: Churn}, 20},
		{"a number in the path", func(_ int, head string) (string, bool) {
			path := strings.Fields(head)[1]
			return ok(strings.ToUpper(strings.TrimPrefix(path, "/x?n="))), true
		}, Options{Reply: "V{n:8}"}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.o.URL, c.o.Connections, c.o.Requests, c.o.Timeout = httpURL(t, web(c.answer))+"/x?n=v{n:8}", 2, 20, 5*time.Second
			r := do(t, c.o)
			if r.Requests != 20 || r.Failed() != 0 || r.Connections < c.conns {
				t.Errorf("%d requests over %d connections, errors %v %v", r.Requests, r.Connections, r.Errors, r.Examples)
			}
		})
	}
}

func TestEachBrokenHTTPAnswerHasItsClass(t *testing.T) {
	for _, c := range []struct {
		name, reply string
		more        bool
		o           Options
		want        Class
	}{
		{"status", "HTTP/1.1 503 Busy\r\nContent-Length: 1\r\n\r\nx", true, Options{}, HTTPStatus},
		{"status until close", "HTTP/1.1 503 Busy\r\n\r\nx", false, Options{}, HTTPStatus},
		{"half a header", "HTTP/1.1 200 OK\r\nContent-", false, Options{}, Short},
		{"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx", false, Options{}, Short},
		{"half a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", false, Options{}, Short},
		{"nothing", "", false, Options{}, EOF},
		{"no end", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx", true, Options{}, Timeout},
		{"another body", ok("x"), true, Options{Reply: "y"}, Wrong},
		{"a longer body", ok("xy"), true, Options{Reply: "x"}, Wrong},
		{"a shorter body", ok("x"), true, Options{Reply: "xy"}, Wrong},
		{"no match", ok("xy"), true, Options{Expect: "regex:^x$"}, Wrong},
		{"no body to match", "HTTP/1.1 204 No Content\r\n\r\n", true, Options{Expect: "regex:."}, Wrong},
		{"a match with another status", "HTTP/1.1 503 Busy\r\nContent-Length: 1\r\n\r\nx", true, Options{Expect: "regex:x"}, HTTPStatus},
		{"more than is kept", ok(strings.Repeat("x", maxLine+1)), true, Options{Expect: "regex:x"}, Wrong},
		{"too much", ok("x") + "y", true, Options{}, Wrong},
		{"no http", "hello\r\n\r\n", true, Options{}, Wrong},
		{"a bad length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", true, Options{}, Wrong},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", true, Options{}, Wrong},
		{"a bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", true, Options{}, Wrong},
		{"a header without end", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", maxHead), true, Options{}, Wrong},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			answer := func(int, string) (string, bool) { return c.reply, c.more }
			c.o.URL, c.o.Connections, c.o.Requests, c.o.Timeout = httpURL(t, web(answer)), 2, 6, patience(c.want)
			r := do(t, c.o)
			if r.Errors[c.want] != 6 || r.Failed() != 6 {
				t.Errorf("errors %v, want 6 %s\n%s", r.Errors, c.want, strings.Join(r.Examples, "\n"))
			}
		})
	}
}

func TestARequestHasMethodPathHeaderAndBody(t *testing.T) {
	var mu sync.Mutex
	var got []string
	url := httpURL(t, func(c *net.TCPConn, _ int) {
		in := bufio.NewReader(c)
		for {
			head, err := request(in)
			if err != nil {
				return
			}
			var body [6]byte
			if _, err := io.ReadFull(in, body[:]); err != nil {
				return
			}
			mu.Lock()
			got = append(got, head+string(body[:]))
			mu.Unlock()
			_, _ = c.Write([]byte(ok("")))
		}
	})
	o := Options{
		URL: url + "/a", Method: "PUT", Header: []string{"X-A:  b", "Host: example"},
		Payload: []byte("body {n}"), Template: true, Requests: 2, Connections: 1,
	}
	do(t, o)
	want := "PUT /a HTTP/1.1\r\nHost: example\r\nX-A: b\r\nContent-Length: 6\r\nbody 1"
	mu.Lock()
	defer mu.Unlock()
	if len(got) != 2 || got[0] != want || got[1] != strings.Replace(want, "body 1", "body 2", 1) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// FuzzHTTPReply checks above all that an answer has the same result in whatever
// pieces it arrives.
func FuzzHTTPReply(f *testing.F) {
	for _, text := range []string{
		ok("hello"), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.0 204 x\r\n\r\n", "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\n\r\nrest", "HTTP/1.1 200 OK\r\nConnection: close, x\r\n\r\n",
	} {
		f.Add([]byte(text), uint8(1))
		f.Add([]byte(text), uint8(7))
	}
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		read := func(size int) (status int, body string, done bool, used int, err error) {
			var r reply
			r.reset(false)
			var b strings.Builder
			for rest := data; len(rest) > 0 && !done; {
				piece := rest[:min(size, len(rest))]
				for len(piece) > 0 && !done {
					n, part, whole, e := r.feed(piece)
					if e != nil {
						return 0, "", false, 0, e
					}
					if n == 0 && !whole || n > len(piece) {
						t.Fatalf("%d of %d bytes used", n, len(piece))
					}
					b.Write(part)
					piece, rest, done, used = piece[n:], rest[n:], whole, used+n
				}
			}
			return r.status, b.String(), done, used, nil
		}
		s1, b1, d1, u1, e1 := read(len(data))
		s2, b2, d2, u2, e2 := read(max(int(size), 1))
		if (e1 == nil) != (e2 == nil) && len(data) < maxChunkLine {
			t.Fatalf("whole: %v, in pieces: %v", e1, e2)
		}
		if e1 == nil && e2 == nil && (s1 != s2 || b1 != b2 || d1 != d2 || u1 != u2) {
			t.Fatalf("whole: %d %q %v %d, in pieces: %d %q %v %d", s1, b1, d1, u1, s2, b2, d2, u2)
		}
	})
}
