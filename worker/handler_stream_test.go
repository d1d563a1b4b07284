package worker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/worker"
)

// streamPatience is the limit of every wait.
const streamPatience = 20 * time.Second

// stream is a StreamHandler with the test's Handle. It keeps the errors of its
// methods.
type stream struct {
	worker.StreamHandler
	handle  func(h *stream, c *worker.Conn) error
	handled error
	finish  error
}

func (h *stream) Handle(_ context.Context, c *worker.Conn) error {
	h.handled = h.handle(h, c)
	return h.handled
}

func (h *stream) Finish(ctx context.Context, c *worker.Conn) error {
	h.finish = h.StreamHandler.Finish(ctx, c)
	return h.finish
}

// serveOne serves one connection with h in this process. It returns the client's
// end and a function that waits for the end of the handler.
func serveOne(t *testing.T, network string, h *stream) (net.Conn, func()) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var fd int
	if err := raw.Control(func(p uintptr) { fd = int(p) }); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- worker.HandleRequest(t.Context(), worker.Config{Mode: worker.Sequential},
			worker.Options{NewHandler: func() worker.Handler { return h }},
			[]worker.Listener{{Name: "test", FD: fd}})
	}()
	c, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(streamPatience)); err != nil {
		t.Fatal(err)
	}
	return c, sync.OnceFunc(func() {
		t.Helper()
		select {
		case <-done:
		case <-time.After(streamPatience):
			t.Fatal("the handler is not done")
		}
	})
}

// answerLines answers each line until the client closes.
func answerLines(h *stream, _ *worker.Conn) error {
	for {
		line, err := h.RFile.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := h.WFile.WriteString(strings.ToUpper(line)); err != nil {
			return err
		}
	}
}

func TestStreamHandlerNeedsNoFlushBeforeItReads(t *testing.T) {
	h := &stream{handle: answerLines}
	c, done := serveOne(t, "tcp", h)
	r := bufio.NewReader(c)
	for _, line := range []string{"one\n", "two\n", "three\n"} {
		if _, err := io.WriteString(c, line); err != nil {
			t.Fatal(err)
		}
		if got, err := r.ReadString('\n'); got != strings.ToUpper(line) {
			t.Fatalf("%q was answered by %q, %v", line, got, err)
		}
	}
	_ = c.Close()
	done()
	if h.handled != nil || h.finish != nil {
		t.Errorf("Handle: %v, Finish: %v", h.handled, h.finish)
	}
}

func TestStreamHandlerSendsAnswersTogether(t *testing.T) {
	var buffered []int
	h := &stream{handle: func(h *stream, _ *worker.Conn) error {
		if _, err := h.RFile.Peek(6); err != nil {
			return err
		}
		for range 3 {
			line, err := h.RFile.ReadString('\n')
			if err != nil {
				return err
			}
			if _, err := h.WFile.WriteString(line); err != nil {
				return err
			}
			buffered = append(buffered, h.WFile.Buffered())
		}
		return nil
	}}
	c, done := serveOne(t, "tcp", h)
	if _, err := io.WriteString(c, "a\nb\nc\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); string(got) != "a\nb\nc\n" || err != nil {
		t.Errorf("answered %q, %v", got, err)
	}
	done()
	if want := []int{2, 4, 6}; fmt.Sprint(buffered) != fmt.Sprint(want) {
		t.Errorf("WFile held %v bytes after each answer, want %v", buffered, want)
	}
}

func TestStreamHandlerWithAWriteBufferLeavesTheFlushToTheHandler(t *testing.T) {
	for _, size := range []int{-1, 100} {
		answered := make(chan struct{})
		held := 0
		h := &stream{handle: func(h *stream, _ *worker.Conn) error {
			if _, err := h.WFile.WriteString("hello"); err != nil {
				return err
			}
			close(answered)
			_, err := h.RFile.ReadString('\n')
			held = h.WFile.Buffered()
			return err
		}}
		h.WBufSize = size
		c, done := serveOne(t, "tcp", h)
		<-answered
		if _, err := io.WriteString(c, "\n"); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); string(got) != "hello" || err != nil {
			t.Errorf("answered %q, %v", got, err)
		}
		done()
		if held != 5 {
			t.Errorf("WBufSize %d: WFile held %d bytes after a read, want all 5", size, held)
		}
	}
}

func TestStreamHandlerBuffersHaveTheSizesAskedFor(t *testing.T) {
	for _, test := range []struct{ rbuf, wbuf, wantR, wantW int }{
		{0, 0, 4096, 4096},
		{-1, -1, 4096, 4096},
		{100, 200, 100, 200},
		{0, 0, 4096, 4096}, // after a buffer of another size was reused
	} {
		var r, w int
		h := &stream{handle: func(h *stream, _ *worker.Conn) error {
			r, w = h.RFile.Size(), h.WFile.Size()
			return nil
		}}
		h.RBufSize, h.WBufSize = test.rbuf, test.wbuf
		_, done := serveOne(t, "tcp", h)
		done()
		if r != test.wantR || w != test.wantW {
			t.Errorf("sizes %d and %d make buffers of %d and %d, want %d and %d", test.rbuf, test.wbuf, r, w, test.wantR, test.wantW)
		}
		if h.RFile != nil || h.WFile != nil {
			t.Error("RFile or WFile outlived Finish")
		}
	}
}

func TestStreamHandlerTimeoutBoundsReadsAndWrites(t *testing.T) {
	for name, handle := range map[string]func(h *stream, c *worker.Conn) error{
		"read": func(h *stream, _ *worker.Conn) error {
			_, err := h.RFile.ReadByte() // the client sends nothing
			return err
		},
		"write": func(h *stream, _ *worker.Conn) error {
			for { // the client reads nothing
				if _, err := h.WFile.Write(make([]byte, 64<<10)); err != nil {
					return err
				}
			}
		},
	} {
		h := &stream{handle: handle}
		h.Timeout = 20 * time.Millisecond
		_, done := serveOne(t, "tcp", h)
		done()
		var ne net.Error
		if !errors.As(h.handled, &ne) || !ne.Timeout() {
			t.Errorf("%s: %v, want a timeout", name, h.handled)
		}
	}
}

func TestStreamHandlerFinishReturnsAFailedFlush(t *testing.T) {
	h := &stream{handle: func(h *stream, _ *worker.Conn) error {
		if _, err := h.RFile.ReadByte(); err == nil {
			return errors.New("read succeeded on a reset connection")
		}
		_, err := h.WFile.WriteString("too late")
		return err
	}}
	c, done := serveOne(t, "tcp", h)
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	_ = c.Close() // a reset
	done()
	if h.handled != nil || !errors.Is(h.finish, unix.EPIPE) && !errors.Is(h.finish, unix.ECONNRESET) {
		t.Errorf("Handle: %v, Finish: %v, want the flush to fail", h.handled, h.finish)
	}
}

func TestStreamHandlerSendsWhatWasWrittenBeforeAPanic(t *testing.T) {
	h := &stream{handle: func(h *stream, _ *worker.Conn) error {
		if _, err := h.WFile.WriteString("so far"); err != nil {
			return err
		}
		panic("and no further")
	}}
	c, done := serveOne(t, "tcp", h)
	if got, err := io.ReadAll(c); string(got) != "so far" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	done()
}

func TestStreamHandlerServesOneConnectionAtATime(t *testing.T) {
	second := errors.New("unset")
	h := &stream{handle: func(h *stream, c *worker.Conn) error {
		second = h.Setup(context.Background(), c)
		_, err := h.WFile.WriteString("served")
		return err
	}}
	for range 2 { // two in sequence are allowed
		c, done := serveOne(t, "tcp", h)
		if got, err := io.ReadAll(c); string(got) != "served" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		done()
		if second == nil || !strings.Contains(second.Error(), "NewHandler") {
			t.Errorf("a second Setup: %v, want it refused with a hint", second)
		}
	}
}

func TestStreamHandlerDisablesNagleWhereThereIsOne(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		noDelay := -1
		h := &stream{handle: func(_ *stream, c *worker.Conn) error {
			raw, err := c.SyscallConn()
			if err != nil {
				return err
			}
			return raw.Control(func(fd uintptr) {
				noDelay, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY)
			})
		}}
		h.DisableNagle = true
		c, done := serveOne(t, network, h)
		if _, err := io.ReadAll(c); err != nil {
			t.Error(err)
		}
		done()
		if network == "tcp" && noDelay != 1 {
			t.Errorf("TCP_NODELAY is %d", noDelay)
		}
		if h.handled != nil || noDelay == -1 { // Handle was not called
			t.Errorf("%s: %v", network, h.handled)
		}
	}
}
