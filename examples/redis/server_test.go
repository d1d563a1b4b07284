package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/preforktest"
	"prefork/worker"
)

// patience is the limit of every wait.
const patience = 20 * time.Second

// inBothModes runs f with a connection to a server in each mode.
func inBothModes(t *testing.T, f func(t *testing.T, c *net.TCPConn)) {
	for _, mode := range []worker.Mode{worker.Event, worker.Threading} {
		t.Run(string(mode), func(t *testing.T) {
			srv := newServer()
			srv.Mode = mode
			c := preforktest.Start(t, srv).Dial()
			if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			f(t, c.(*net.TCPConn))
		})
	}
}

func TestServerAnswersUntilQuit(t *testing.T) {
	inBothModes(t, func(t *testing.T, c *net.TCPConn) {
		if _, err := io.WriteString(c, "SET k v\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nquit\r\nPING\r\n"); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if want := "+OK\r\n$1\r\nv\r\n+OK\r\n"; string(got) != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	})
}

func TestServerRefusesABrokenProtocol(t *testing.T) {
	inBothModes(t, func(t *testing.T, c *net.TCPConn) {
		if _, err := io.WriteString(c, "PING\r\n*1\r\n$x\r\nPING\r\n"); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if want := "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n"; string(got) != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	})
}

func TestServerAnswersWhatWasSentBeforeAHalfClose(t *testing.T) {
	inBothModes(t, func(t *testing.T, c *net.TCPConn) {
		if _, err := io.WriteString(c, "PING\r\nINCR n\r\n"); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); string(got) != "+PONG\r\n:1\r\n" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// segments returns how many segments with data c has received.
func segments(t *testing.T, c *net.TCPConn) uint32 {
	t.Helper()
	var info *unix.TCPInfo
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	}
	if err != nil || info == nil {
		t.Fatal(err)
	}
	return info.Data_segs_in
}

func TestRepliesToPipelinedCommandsAreSentTogether(t *testing.T) {
	inBothModes(t, func(t *testing.T, c *net.TCPConn) {
		const n = 100
		if _, err := io.WriteString(c, strings.Repeat("*1\r\n$4\r\nPING\r\n", n)); err != nil {
			t.Fatal(err)
		}
		want := strings.Repeat("+PONG\r\n", n)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v", got, err)
		}
		if n := segments(t, c); n != 1 {
			t.Errorf("%d segments, want 1", n)
		}
	})
}

// The replies to one client are far more than a worker keeps, and the client does not
// read until it has sent everything.
func TestLargeRepliesWaitForASlowClient(t *testing.T) {
	inBothModes(t, func(t *testing.T, c *net.TCPConn) {
		value := bytes.Repeat([]byte("0123456789abcdef"), maxBulk/16)
		const n = 48
		request := fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n%s", len(value), value, strings.Repeat("GET k\r\n", n))
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReaderSize(c, 1<<20)
		if line, err := in.ReadString('\n'); line != "+OK\r\n" || err != nil {
			t.Fatalf("%q, %v", line, err)
		}
		want := fmt.Appendf(nil, "$%d\r\n%s\r\n", len(value), value)
		got := make([]byte, len(want))
		for i := range n {
			if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("reply %d: %.40q, %v", i, got, err)
			}
		}
	})
}
