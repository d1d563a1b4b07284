package handlers

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"
	"time"
)

func TestEchoSendsEveryByteBack(t *testing.T) {
	client, server := tcpPair(t)
	done := make(chan error, 1)
	go func() {
		done <- echo(server)
		_ = server.Close()
	}()
	sent := make([]byte, 1<<20)
	rnd := rand.NewChaCha8([32]byte{1})
	_, _ = rnd.Read(sent)
	go func() {
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), int(rnd.Uint64()%100_000)+1)
			if _, err := client.Write(rest[:n]); err != nil {
				t.Errorf("write: %v", err)
				return
			}
			rest = rest[n:]
		}
		_ = client.CloseWrite()
	}()
	got, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("got %d bytes back of %d (equal: %v), %v", len(got), len(sent), bytes.Equal(got, sent), err)
	}
	if err := <-done; err != nil {
		t.Errorf("echo: %v", err)
	}
}

func TestEchoReturnsWhatWentWrong(t *testing.T) {
	lost := errors.New("connection lost")
	c := say("abc")
	c.fail = lost
	if err := echo(c); !errors.Is(err, lost) || c.out.String() != "abc" {
		t.Errorf("echo: %v after %q, want %v after all", err, c.out.String(), lost)
	}
	if err := echo(deaf{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("echo to a client that takes nothing: %v", err)
	}
	if err := echo(idle{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("echo from a reader that brings nothing: %v", err)
	}
}

func TestDiscardReadsAllAndAnswersNothing(t *testing.T) {
	c := say("one\n", string(make([]byte, 200_000)))
	if err := discard(c); err != nil {
		t.Fatal(err)
	}
	if c.reads != 200_004 || c.out.Len() != 0 {
		t.Errorf("read %d bytes and answered %d, want 200004 and none", c.reads, c.out.Len())
	}
}

func TestBufferFollowsTheTraffic(t *testing.T) {
	var b buffer
	defer b.release()
	last := 0
	for i, step := range []struct{ read, size int }{
		{100, smallBuffer},
		{smallBuffer, smallBuffer},       // full: there may be more
		{largeBuffer, largeBuffer},       //
		{smallBuffer/2 + 1, largeBuffer}, // not that quiet yet
		{100, largeBuffer},
		{100, smallBuffer},
		{100, smallBuffer},
	} {
		if got := len(b.next(last)); got != step.size {
			t.Errorf("step %d: a buffer of %d bytes after a read of %d, want %d", i, got, last, step.size)
		}
		last = step.read
	}
}

// tcpPair returns both ends of a loopback connection, closed when the test
// ends.
func tcpPair(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := c.SetDeadline(time.Now().Add(testPatience)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// until waits for what has no event.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testPatience); !holds(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain until %s", testPatience, what)
		}
	}
}

// testPatience is when a test that waits in vain fails.
const testPatience = 20 * time.Second
