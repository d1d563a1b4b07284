package worker

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// connPair returns a Conn without a worker, and its client.
func connPair(t testing.TB, network string, cfg Config) (*Conn, net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	fd, addr := listen(t, address)
	defer unix.Close(fd)
	ln, err := openListener("test", fd, true)
	if err != nil {
		t.Fatal(err)
	}
	client := dial(t, addr)
	_ = client.SetDeadline(time.Time{})
	wake, err := newWakeup()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(wake.close)
	var nfd int
	var remote syscall.Sockaddr
	eventually(t, "a connection", func() bool {
		var err error
		nfd, remote, err = accept(fd)
		return err == nil
	})
	c, err := newConn(nfd, ln.info, remote, newConnTable(cfg.WithDefaults(), new(ipc.Slot), new(ipc.Peer), wake), ipc.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, client
}

// eachNetwork runs a test with a TCP and a Unix connection.
func eachNetwork(t *testing.T, f func(t *testing.T, c *Conn, client net.Conn)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			c, client := connPair(t, network, Config{})
			f(t, c, client)
		})
	}
}

func wantTimeout(t *testing.T, err error) {
	t.Helper()
	var ne net.Error
	if !errors.As(err, &ne) || !ne.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("error %#v is no timeout", err)
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Addr == nil || op.Source == nil {
		t.Fatalf("error %#v is no *net.OpError with both addresses", err)
	}
}

func wantClosed(t *testing.T, err error) {
	t.Helper()
	var op *net.OpError
	if !errors.Is(err, net.ErrClosed) || !errors.As(err, &op) {
		t.Fatalf("error %#v, want a *net.OpError around net.ErrClosed", err)
	}
}

func TestConnCarriesBytesBothWays(t *testing.T) {
	eachNetwork(t, func(t *testing.T, c *Conn, client net.Conn) {
		want := make([]byte, 1<<20)
		for i := range want {
			want[i] = byte(rand.Uint32())
		}
		var wg sync.WaitGroup
		for _, end := range []io.Writer{c, client} {
			wg.Go(func() {
				for rest := want; len(rest) > 0; {
					n := min(1+rand.IntN(64<<10), len(rest))
					if _, err := end.Write(rest[:n]); err != nil {
						t.Error(err)
						return
					}
					rest = rest[n:]
				}
			})
		}
		for _, end := range []io.Reader{c, client} {
			wg.Go(func() {
				got := make([]byte, len(want))
				if _, err := io.ReadFull(end, got); err != nil || !bytes.Equal(got, want) {
					t.Errorf("read %v, or the wrong bytes", err)
				}
			})
		}
		wg.Wait()
		if c.BytesIn() != 1<<20 || c.BytesOut() != 1<<20 {
			t.Errorf("counted %d in and %d out, want %d", c.BytesIn(), c.BytesOut(), 1<<20)
		}
	})
}

func TestConnReadReturnsEOFUnwrapped(t *testing.T) {
	eachNetwork(t, func(t *testing.T, c *Conn, client net.Conn) {
		_ = client.Close()
		for range 2 {
			if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Fatalf("Read = %d, %v; want bare io.EOF", n, err)
			}
		}
	})
}

func TestConnEmptyReadAndWriteDoNothing(t *testing.T) {
	eachNetwork(t, func(t *testing.T, c *Conn, _ net.Conn) {
		if n, err := c.Read(nil); n != 0 || err != nil {
			t.Errorf("Read(nil) = %d, %v", n, err)
		}
		if n, err := c.Write(nil); n != 0 || err != nil {
			t.Errorf("Write(nil) = %d, %v", n, err)
		}
	})
}

func TestConnDeadlines(t *testing.T) {
	eachNetwork(t, func(t *testing.T, c *Conn, client net.Conn) {
		b := make([]byte, 1)
		past, soon := time.Unix(1, 0), func() time.Time { return time.Now().Add(5 * time.Millisecond) }
		for _, at := range []func() time.Time{func() time.Time { return past }, time.Now, soon} {
			if err := c.SetReadDeadline(at()); err != nil {
				t.Fatal(err)
			}
			_, err := c.Read(b)
			wantTimeout(t, err)
			_, err = c.Read(b) // the deadline stays
			wantTimeout(t, err)
		}
		if err := c.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(b); n != 1 || err != nil {
			t.Fatalf("after the deadline was taken away: Read = %d, %v", n, err)
		}
		if err := c.SetWriteDeadline(past); err != nil {
			t.Fatal(err)
		}
		_, err := c.Write(b)
		wantTimeout(t, err)
		if err := c.SetWriteDeadline(soon()); err != nil {
			t.Fatal(err)
		}
		for err = nil; err == nil; { // until the buffers are full
			_, err = c.Write(make([]byte, 1<<20))
		}
		wantTimeout(t, err)
		if err := c.SetDeadline(past); err != nil {
			t.Fatal(err)
		}
		_, err = c.Read(b)
		wantTimeout(t, err)
		_, err = c.Write(b)
		wantTimeout(t, err)
	})
}

func TestConnDeadlineEndsAReadThatWaits(t *testing.T) {
	eachNetwork(t, func(t *testing.T, c *Conn, _ net.Conn) {
		result := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			result <- err
		}()
		if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		wantTimeout(t, within(t, "the Read", result))
	})
}

func TestConnCloseEndsWhatWaits(t *testing.T) {
	eachNetwork(t, func(t *testing.T, c *Conn, _ net.Conn) {
		result := make(chan error, 3)
		go func() {
			_, err := c.Read(make([]byte, 1))
			result <- err
		}()
		go func() {
			var err error
			for err == nil {
				_, err = c.Write(make([]byte, 1<<10))
			}
			result <- err
		}()
		go func() {
			_, err := io.Copy(io.Discard, c)
			result <- err
		}()
		eventually(t, "bytes under way", func() bool { return c.BytesOut() > 0 })
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			wantClosed(t, within(t, "an error", result))
		}
	})
}

func TestClosedConnReturnsErrClosed(t *testing.T) {
	eachNetwork(t, func(t *testing.T, c *Conn, _ net.Conn) {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		_, rerr := c.Read(make([]byte, 1))
		_, werr := c.Write(make([]byte, 1))
		_, cerr := io.Copy(io.Discard, c)
		file, err := os.Open("conn_test.go")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		_, serr := c.ReadFrom(file)
		for _, err := range []error{
			rerr, werr, cerr, serr, c.Close(), c.CloseWrite(), c.CloseRead(),
			c.SetDeadline(time.Now()), c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{}),
		} {
			wantClosed(t, err)
		}
		if c.LocalAddr() == nil || c.RemoteAddr() == nil {
			t.Error("a closed connection has no addresses")
		}
	})
}

func TestConnMethodsMayRunTogether(t *testing.T) {
	eachNetwork(t, func(t *testing.T, c *Conn, client net.Conn) {
		go func() { _, _ = io.Copy(client, client) }()
		_ = c.SetDeadline(time.Now().Add(patience))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 50 {
					_, _ = c.Write([]byte("ping"))
					_, _ = c.Read(make([]byte, 4))
				}
			})
			wg.Go(func() {
				for range 50 {
					_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
					_ = c.SetWriteDeadline(time.Now().Add(time.Millisecond))
					_, _, _ = c.LocalAddr(), c.RemoteAddr(), c.BytesIn()
				}
			})
		}
		wg.Wait()
	})
}

func TestConnCloseWriteEndsOneSide(t *testing.T) {
	eachNetwork(t, func(t *testing.T, c *Conn, client net.Conn) {
		if _, err := c.Write([]byte("last")); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(client); string(got) != "last" || err != nil {
			t.Fatalf("client read %q, %v", got, err)
		}
		if _, err := client.Write([]byte("answer")); err != nil {
			t.Fatal(err)
		}
		expect(t, c, "answer")
		if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write after CloseWrite: %v, want EPIPE", err)
		}
		if err := c.CloseRead(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("read after CloseRead: %v, want EOF", err)
		}
	})
}

func TestConnResetErrorIsECONNRESET(t *testing.T) {
	c, client := connPair(t, "tcp", Config{})
	if err := client.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
	_, err := c.Read(make([]byte, 1))
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("Read: %v, want ECONNRESET", err)
	}
	if !isPeerError(err) {
		t.Errorf("%v is not taken for the client's doing", err)
	}
}

func TestConnTakesItsOptionsWhereThereAreSome(t *testing.T) {
	eachNetwork(t, func(t *testing.T, c *Conn, _ net.Conn) {
		for _, on := range []bool{false, true} {
			if err := c.SetNoDelay(on); err != nil {
				t.Fatal(err)
			}
		}
		if c.Listener() != "test" {
			t.Errorf("Listener() = %q", c.Listener())
		}
	})
}

func TestWildcardListenersConnKnowsItsAddress(t *testing.T) {
	for address, dialled := range map[string]string{"0.0.0.0:0": "127.0.0.7", "[::]:0": "127.0.0.8", "[::1]:0": "::1"} {
		fd, addr := listen(t, address)
		ln, err := openListener("any", fd, false)
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		client := dial(t, net.JoinHostPort(dialled, port))
		var nfd int
		var remote syscall.Sockaddr
		eventually(t, "a connection", func() bool {
			var err error
			nfd, remote, err = accept(fd)
			return err == nil
		})
		c, err := newConn(nfd, ln.info, remote, newConnTable(Config{}, new(ipc.Slot), new(ipc.Peer), nil), 0)
		if err != nil {
			t.Fatal(err)
		}
		if c.LocalAddr().String() != client.RemoteAddr().String() || c.RemoteAddr().String() != client.LocalAddr().String() {
			t.Errorf("%s: local %v, remote %v; the client says %v, %v",
				address, c.LocalAddr(), c.RemoteAddr(), client.RemoteAddr(), client.LocalAddr())
		}
		_ = c.Close()
		ln.close()
	}
}

func TestUnixClientsNameIsRead(t *testing.T) {
	for in, want := range map[string]string{"@": "", "/run/a": "/run/a", "@abs": "@abs"} {
		if got := netAddr(&syscall.SockaddrUnix{Name: in}); got.String() != want || got.Network() != "unix" {
			t.Errorf("name %q read as %q, want %q", in, got, want)
		}
	}
}
