package handlers

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// connPair returns a client and the httpConn of its server's end.
func connPair(t *testing.T) (*net.TCPConn, *httpConn) {
	t.Helper()
	client, server := tcpPair(t)
	s := HTTPServer(newTestServer(nil))
	c := &httpConn{Conn: server, service: s}
	c.waiting.Store(true)
	s.add(c)
	t.Cleanup(func() { _ = c.Close() })
	return client, c
}

func TestAWokenConnectionWithNothingToSayReadsEOF(t *testing.T) {
	_, c := connPair(t)
	c.wake()
	if n, err := c.Read(make([]byte, 10)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("Read: %d, %v, want EOF", n, err)
	}
}

func TestARequestThatArrivedBeforeTheWakeIsRead(t *testing.T) {
	client, c := connPair(t)
	if _, err := client.Write([]byte("GET")); err != nil {
		t.Fatal(err)
	}
	until(t, "the request has arrived", c.buffered)
	c.wake()
	p := make([]byte, 10)
	if n, err := c.Read(p); err != nil || string(p[:n]) != "GET" {
		t.Errorf("Read: %q, %v, want the request", p[:n], err)
	}
}

func TestAWakeDoesNotDisturbARequestInHand(t *testing.T) {
	client, c := connPair(t)
	got := make(chan string, 1)
	c.waiting.Store(false)
	c.wake()
	go func() {
		p := make([]byte, 10)
		n, err := c.Read(p) // of a body that is still to come
		if err != nil {
			t.Errorf("Read: %v", err)
		}
		got <- string(p[:n])
	}()
	until(t, "the wake is used up", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return !c.woken
	})
	if _, err := client.Write([]byte("body")); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != "body" {
		t.Errorf("read %q, want the body", s)
	}
}

func TestAWakeThatANewDeadlineOvertakesIsNoTimeout(t *testing.T) {
	client, server := tcpPair(t)
	// The Read that the wake ended comes back only after the new deadline.
	scripted := &timeouts{Conn: server, left: 1}
	s := HTTPServer(newTestServer(nil))
	c := &httpConn{Conn: scripted, service: s}
	c.wake()
	if err := c.SetReadDeadline(time.Now().Add(testPatience)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 1)
	if n, err := c.Read(p); n != 1 || err != nil {
		t.Errorf("Read: %d, %v, want the byte", n, err)
	}
}

func TestATimeLimitOfTheConnectionItselfIsPassedOn(t *testing.T) {
	_, server := tcpPair(t)
	c := &httpConn{Conn: &timeouts{Conn: server, left: 1}, service: HTTPServer(newTestServer(nil))}
	c.waiting.Store(true)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read: %v, want the timeout", err)
	}
	for name, set := range map[string]func(time.Time) error{"read": c.SetReadDeadline, "both": c.SetDeadline} {
		if err := set(longAgo); err != nil {
			t.Fatal(err)
		}
		c.wake() // and a wake does not hide it
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read past a deadline (%s): %v, want the timeout", name, err)
		}
	}
}

// timeouts fails its first reads as a connection does whose time is up.
type timeouts struct {
	net.Conn
	left int
}

func (c *timeouts) Read(p []byte) (int, error) {
	if c.left > 0 {
		c.left--
		return 0, os.ErrDeadlineExceeded
	}
	return c.Conn.Read(p)
}

func TestSilenceCountsFromTheDrainTheLastByteOrTheLastRequest(t *testing.T) {
	client, c := connPair(t)
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	check := func(s int, want time.Duration) {
		t.Helper()
		if got := c.silence(at(s)); got != want {
			t.Errorf("at %d s: silent for %v, want %v", s, got, want)
		}
	}
	check(0, 0) // the drain begins
	check(3, 3*time.Second)
	if _, err := client.Write([]byte("GET")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	check(4, 0) // half a request has come
	check(6, 2*time.Second)
	c.waiting.Store(false) // the rest of it, and its handler runs
	check(7, 0)
	check(60, 0)
	c.waiting.Store(true)
	check(62, 2*time.Second)
}

func TestCloseIsCountedOnce(t *testing.T) {
	_, c := connPair(t)
	_ = c.Close()
	_ = c.Close()
	c.service.live.Wait() // a second Done would have panicked
	if n := len(c.service.conns); n != 0 {
		t.Errorf("%d connections left", n)
	}
}
