package load

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// plain calls serve for each connection until the test ends and returns the
// listener's URL.
func plain(t testing.TB, serve func(c *net.TCPConn, n int)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				serve(c.(*net.TCPConn), n)
				_ = c.Close()
			}()
		}
	}()
	return "tcp://" + l.Addr().String()
}

// lines answers the n-th line with the result of answer, until answer returns
// false.
func lines(answer func(n int, line string) (string, bool)) func(*net.TCPConn, int) {
	return func(c *net.TCPConn, _ int) {
		in := bufio.NewReader(c)
		for n := 1; ; n++ {
			text, err := in.ReadString('\n')
			if err != nil {
				return
			}
			reply, more := answer(n, text)
			if _, err := io.WriteString(c, reply); err != nil || !more {
				return
			}
		}
	}
}

func echo(_ int, line string) (string, bool)  { return line, true }
func upper(_ int, line string) (string, bool) { return strings.ToUpper(line), true }

// do runs a load, whose options must be valid.
func do(t testing.TB, o Options) *Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	run, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	r := run.Wait()
	if ctx.Err() != nil {
		t.Fatalf("the run did not end: %+v", r)
	}
	return r
}

// patience returns the timeout of a run. It is short only if the run is expected
// to time out.
func patience(want Class) time.Duration {
	if want == Timeout {
		return 300 * time.Millisecond
	}
	return 20 * time.Second
}

// request reads one request of http.
func request(in *bufio.Reader) (head string, err error) {
	var b bytes.Buffer
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if line == "\r\n" {
			return b.String(), nil
		}
		b.WriteString(line)
	}
}

// web answers each HTTP request with the result of answer for its head.
func web(answer func(n int, head string) (string, bool)) func(*net.TCPConn, int) {
	return func(c *net.TCPConn, _ int) {
		in := bufio.NewReader(c)
		for n := 1; ; n++ {
			head, err := request(in)
			if err != nil {
				return
			}
			reply, more := answer(n, head)
			if _, err := io.WriteString(c, reply); err != nil || !more {
				return
			}
		}
	}
}
