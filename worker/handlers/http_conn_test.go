package handlers

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// timedConn counts the deadlines that reach the connection.
type timedConn struct {
	net.Conn
	reads, writes atomic.Int32
}

func (c *timedConn) SetReadDeadline(t time.Time) error {
	c.reads.Add(1)
	return c.Conn.SetReadDeadline(t)
}

func (c *timedConn) SetWriteDeadline(t time.Time) error {
	c.writes.Add(1)
	return c.Conn.SetWriteDeadline(t)
}

// timedPair returns a connection as net/http has it, what it is made of, and
// its client.
func timedPair(t *testing.T) (*httpConn, *timedConn, net.Conn) {
	t.Helper()
	server, client := net.Pipe()
	t.Cleanup(func() { _, _ = server.Close(), client.Close() })
	inner := &timedConn{Conn: server}
	return &httpConn{Conn: inner}, inner, client
}

func TestOnlyTheLastDeadlineBeforeAReadIsSet(t *testing.T) {
	c, inner, client := timedPair(t)
	for _, at := range []time.Time{time.Now().Add(time.Hour), {}, time.Now().Add(10 * time.Millisecond)} {
		if err := c.SetReadDeadline(at); err != nil {
			t.Fatal(err)
		}
	}
	if n := inner.reads.Load(); n != 0 {
		t.Errorf("%d deadlines were set before the Read", n)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read: %v, want the last deadline", err)
	}
	if n := inner.reads.Load(); n != 1 {
		t.Errorf("%d deadlines were set, want 1", n)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = client.Write([]byte("xy")) }()
	for range 2 {
		if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("without a deadline: %d, %v", n, err)
		}
	}
	if n := inner.reads.Load(); n != 2 {
		t.Errorf("%d deadlines were set, want 2", n)
	}
}

func TestADeadlineThatIsNearlyTheSameIsNotSetAgain(t *testing.T) {
	c, inner, client := timedPair(t)
	go func() { _, _ = client.Write(make([]byte, 6)) }()
	now := time.Now()
	for i, step := range []struct {
		at   time.Time
		sets int32
	}{
		{time.Time{}, 0}, // there is none
		{now.Add(2 * time.Hour), 1},
		{now.Add(2*time.Hour + time.Minute), 1},
		{now.Add(2*time.Hour + 3*time.Minute), 2},
		{now.Add(2 * time.Hour), 3}, // earlier
		{time.Time{}, 4},
	} {
		if err := c.SetReadDeadline(step.at); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Fatalf("step %d: Read: %d, %v", i, n, err)
		}
		if n := inner.reads.Load(); n != step.sets {
			t.Errorf("step %d: %d deadlines were set, want %d", i, n, step.sets)
		}
	}
}

func TestADeadlineEndsAReadThatWaits(t *testing.T) {
	c, inner, _ := timedPair(t)
	result := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		result <- err
	}()
	for c.reading.Load() == 0 {
		runtime.Gosched()
	}
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-result:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the Read goes on")
	}
	if n := inner.reads.Load(); n > 1 {
		t.Errorf("%d deadlines were set", n)
	}
}

// net/http ends its own Read in this way when a handler returns, often before that
// Read has begun.
func TestAReadThatIsEndedBeforeItBeginsReadsNothing(t *testing.T) {
	c, inner, client := timedPair(t)
	go func() { _, _ = client.Write([]byte("x")) }()
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := c.Read(make([]byte, 1))
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() || inner.reads.Load() != 0 {
			t.Fatalf("Read: %v after %d deadlines, want a timeout without one", err, inner.reads.Load())
		}
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("the byte is lost: %d, %v", n, err)
	}
}

func TestAWriteDeadlineThatIsNotThereIsNotTakenAway(t *testing.T) {
	c, inner, _ := timedPair(t)
	for i, at := range []time.Time{{}, time.Unix(1, 0), {}, {}} {
		if err := c.SetWriteDeadline(at); err != nil {
			t.Fatal(err)
		}
		if n, want := inner.writes.Load(), []int32{0, 1, 2, 2}[i]; n != want {
			t.Errorf("after call %d: %d deadlines were set, want %d", i+1, n, want)
		}
	}
	if err := c.SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	_, werr := c.Write([]byte("x"))
	_, rerr := c.Read(make([]byte, 1))
	if !errors.Is(werr, os.ErrDeadlineExceeded) || !errors.Is(rerr, os.ErrDeadlineExceeded) {
		t.Errorf("after SetDeadline: Write %v, Read %v", werr, rerr)
	}
}
