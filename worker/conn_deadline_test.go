package worker

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"prefork/ipc"
)

// TestByteBeforeTheDrainsEOFIsNotLost sends a byte after the sweep has found the
// connection idle. readFailed must read the socket again.
func TestByteBeforeTheDrainsEOFIsNotLost(t *testing.T) {
	eachNetwork(t, func(t *testing.T, c *Conn, client net.Conn) {
		c.acceptedAt = 1
		c.table.beginDrain(1) // long ago
		c.interruptRead(idleInDrain)
		if _, err := client.Write([]byte("late")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 8)
		if n, err := c.Read(b); string(b[:n]) != "late" || err != nil {
			t.Fatalf("Read = %q, %v; want the late bytes", b[:n], err)
		}
		// The bytes are activity, so the read waits until the sweep finds the
		// client idle again.
		c.lastByteAt.Store(0)
		c.readingSince.Store(0)
		c.interruptRead(idleInDrain)
		c.bytesAtWait.Store(c.BytesIn())
		if n, err := c.Read(b); n != 0 || err != io.EOF {
			t.Fatalf("Read = %d, %v; want EOF", n, err)
		}
		if n, err := io.Copy(io.Discard, c); n != 0 || err != nil {
			t.Fatalf("io.Copy = %d, %v; want an end", n, err)
		}
	})
}

func TestReadContinuesIfTheConnectionIsNotIdle(t *testing.T) {
	c, client := connPair(t, "tcp", Config{DrainIdle: time.Hour})
	c.table.beginDrain(ipc.Now())
	c.interruptRead(idleInDrain)
	result := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(c, make([]byte, 1))
		result <- err
	}()
	eventually(t, "the connection not to count as idle", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.idle == notIdle
	})
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := within(t, "the Read", result); err != nil {
		t.Fatal(err)
	}
}

func TestHandlersDeadlineIsATimeoutInADrainToo(t *testing.T) {
	c, _ := connPair(t, "tcp", Config{})
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	c.table.beginDrain(1)
	c.interruptRead(idleInDrain)
	_, err := c.Read(make([]byte, 1))
	wantTimeout(t, err)
}

func TestIdleTimeoutCountsFromTheLastByte(t *testing.T) {
	result := make(chan error, 1)
	r := accepting(t, Config{IdleTimeout: 2 * time.Second}, Options{Handler: HandlerFunc(func(_ context.Context, c *Conn) error {
		_, err := io.Copy(c, c)
		result <- err
		return err
	})})
	c := r.dial(0)
	for begin := time.Now(); time.Since(begin) < 3*time.Second; {
		ask(t, c, "x", "x")
	}
	wantTimeout(t, within(t, "the timeout", result))
	expectEOF(t, c)
}

func TestHandlerTimeoutEndsTheContextThenTheConnection(t *testing.T) {
	result := make(chan error, 2)
	r := accepting(t, Config{HandlerTimeout: 20 * time.Millisecond}, Options{Handler: HandlerFunc(func(ctx context.Context, c *Conn) error {
		<-ctx.Done()
		result <- ctx.Err()
		_, err := c.Read(make([]byte, 1))
		result <- err
		return err
	})})
	c := r.dial(0)
	if err := within(t, "the context", result); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("context: %v", err)
	}
	wantClosed(t, within(t, "the connection", result))
	expectEOF(t, c)
	r.hasActive(0)
}

// A Service such as net/http always has a read in progress, so it reports when
// an idle connection may be closed.
func TestADrainClosesAServicesConnectionOnlyWhileItIsIdle(t *testing.T) {
	c, client := connPair(t, "tcp", Config{DrainIdle: time.Nanosecond})
	c.table.beginDrain(1) // long ago
	c.SetDrainIdle(0)
	if why := c.table.checkIdle(c, ipc.Now()); why != notIdle {
		t.Errorf("a connection with a request: %v", why)
	}
	// The request began just after the sweep had found the connection idle. The
	// Service sets a deadline before it continues to read.
	c.interruptRead(idleInDrain)
	if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if n, err := io.ReadFull(c, b); n != 1 || err != nil {
		t.Fatalf("Read = %d, %v; want the byte", n, err)
	}
	c.SetDrainIdle(time.Nanosecond)
	if why := c.table.checkIdle(c, ipc.Now()+1); why != idleInDrain {
		t.Errorf("an idle connection: %v", why)
	}
	c.interruptRead(idleInDrain)
	if n, err := c.Read(b); n != 0 || err != io.EOF {
		t.Errorf("Read = %d, %v; want EOF", n, err)
	}
}

// A drain accepts what is queued, and that may take longer than DrainIdle.
func TestADrainGivesANewClientItsTime(t *testing.T) {
	const limit = time.Minute
	c, _ := connPair(t, "tcp", Config{DrainIdle: limit})
	c.table.beginDrain(1) // long ago
	c.acceptedAt = ipc.Now()
	if why := c.table.checkIdle(c, c.acceptedAt+int64(limit)-1); why != notIdle {
		t.Errorf("a client that has just been accepted: %v", why)
	}
	if why := c.table.checkIdle(c, c.acceptedAt+int64(limit)); why != idleInDrain {
		t.Errorf("a client that was silent since: %v", why)
	}
}

// The outcome does not depend on the handler, even if it never returns.
func TestACutConnectionIsCountedAsFailedOnce(t *testing.T) {
	release := make(chan struct{})
	r := accepting(t, Config{HandlerTimeout: 20 * time.Millisecond}, Options{Handler: HandlerFunc(func(context.Context, *Conn) error {
		<-release
		return nil
	})})
	expectEOF(t, r.dial(0))
	eventually(t, "the count", func() bool { return r.slot.Failed.Load() == 1 })
	r.hasActive(1)
	close(release)
	r.hasActive(0)
	if handled, failed := r.slot.Handled.Load(), r.slot.Failed.Load(); handled != 0 || failed != 1 {
		t.Errorf("counted %d handled and %d failed, want 0 and 1", handled, failed)
	}
}

func TestReadTimeoutBoundsEachRead(t *testing.T) {
	c, client := connPair(t, "tcp", Config{ReadTimeout: 20 * time.Millisecond})
	defer time.AfterFunc(patience, func() { _ = c.Close() }).Stop()
	for range 2 {
		_, err := c.Read(make([]byte, 1))
		wantTimeout(t, err)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	expect(t, c, "x")
	_, err := io.Copy(io.Discard, c)
	wantTimeout(t, err)
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	tries := 0
	wantTimeout(t, raw.Read(func(uintptr) bool { tries++; return false }))
	if tries == 0 {
		t.Error("a bound that has passed was held against a raw read")
	}
}

func TestWriteTimeoutBoundsEachWrite(t *testing.T) {
	c, _ := connPair(t, "tcp", Config{WriteTimeout: 20 * time.Millisecond})
	defer time.AfterFunc(patience, func() { _ = c.Close() }).Stop()
	var err error
	for err == nil {
		_, err = c.Write(make([]byte, 1<<20))
	}
	wantTimeout(t, err)
}

// A slow client that makes progress has no time limit.
func TestWriteTimeoutStartsAnewWithEachPieceOfAWrite(t *testing.T) {
	c, client := connPair(t, "tcp", Config{})
	if c.table.cfg.WriteTimeout != defaultWriteTimeout {
		t.Fatalf("the default is %v", c.table.cfg.WriteTimeout)
	}
	const long = 64 << 20 // more than the kernel's buffers hold
	written := make(chan error, 1)
	go func() {
		n, err := c.Write(make([]byte, long))
		if n != long && err == nil {
			err = io.ErrShortWrite
		}
		written <- err
	}()
	buf := make([]byte, long)
	for from := 0; from < long; from += long / 4 {
		eventually(t, "a limit that was set again", func() bool { return c.writeLimitSet.Load() > 1 || len(written) > 0 })
		c.writeLimitSet.Store(1) // long ago
		if _, err := io.ReadFull(client, buf[from:from+long/4]); err != nil {
			t.Fatal(err)
		}
	}
	if err := within(t, "the end of the write", written); err != nil {
		t.Error(err)
	}
}

// By default, clients that send or read nothing do not occupy a place for ever.
func TestSlowClientsHaveLimitsByDefault(t *testing.T) {
	for name, c := range map[string]struct {
		cfg         Config
		opt         Options
		write, idle time.Duration
	}{
		"handler":        {Config{}, Options{Handler: echo}, time.Minute, 5 * time.Minute},
		"service":        {Config{}, Options{Service: &logTaker{}}, time.Minute, -1},
		"service, asked": {Config{IdleTimeout: time.Hour}, Options{Service: &logTaker{}}, time.Minute, time.Hour},
		"none":           {Config{WriteTimeout: -1, IdleTimeout: -1}, Options{Handler: echo}, -1, -1},
	} {
		got, _, err := configure(c.cfg, c.opt)
		if err != nil || got.WriteTimeout != c.write || got.IdleTimeout != c.idle || got.ReadTimeout != 0 || got.HandlerTimeout != 0 {
			t.Errorf("%s: write %v, idle %v (%v), want %v and %v", name, got.WriteTimeout, got.IdleTimeout, err, c.write, c.idle)
		}
	}
	r := accepting(t, Config{ReadTimeout: -1, WriteTimeout: -1, IdleTimeout: -1, HandlerTimeout: -1}, Options{Handler: echo})
	ask(t, r.dial(0), "no limit", "no limit")
}

func TestHandlersOwnDeadlineHoldsBesideTheTimeout(t *testing.T) {
	c, client := connPair(t, "tcp", Config{ReadTimeout: time.Hour})
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err := c.Read(make([]byte, 1))
	wantTimeout(t, err)

	c, _ = connPair(t, "tcp", Config{ReadTimeout: 5 * time.Millisecond})
	if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	_, err = c.Read(make([]byte, 1))
	wantTimeout(t, err)
	_ = client
}
