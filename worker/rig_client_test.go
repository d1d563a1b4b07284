package worker

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// dial connects to listener i.
func (r *rig) dial(i int) net.Conn {
	r.t.Helper()
	return dial(r.t, r.addrs[i])
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	network := "tcp"
	if strings.Contains(addr, "/") {
		network = "unix"
	}
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// ask sends a line and expects an answer.
func ask(t testing.TB, c net.Conn, line, answer string) {
	t.Helper()
	if _, err := c.Write([]byte(line)); err != nil {
		t.Fatalf("send %q: %v", line, err)
	}
	expect(t, c, answer)
}

// expect reads exactly answer.
func expect(t testing.TB, c net.Conn, answer string) {
	t.Helper()
	buf := make([]byte, len(answer))
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != answer {
		t.Fatalf("read %q, %v; want %q", buf, err, answer)
	}
}

// expectEOF expects that the other side has closed without a reset.
func expectEOF(t testing.TB, c net.Conn) {
	t.Helper()
	var b [64]byte
	if n, err := c.Read(b[:]); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("read %q, %v; want EOF", b[:n], err)
	}
}
