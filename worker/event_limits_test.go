package worker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"prefork/ipc"
)

// small makes the buffers of both sides small, so that a client that does not read is
// noticed soon.
func small(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
}

// A client that sends requests and reads no answers is stopped by TCP.
func TestEventDoesNotReadFromAClientThatDoesNotRead(t *testing.T) {
	const answer = 64 << 10
	var calls atomic.Int64
	onEvents(t, Config{MaxUnsent: 16 << 20}, func() *eventFuncs {
		calls.Store(0)
		return &eventFuncs{data: func(c *Conn, in []byte, _ bool) (int, error) {
			calls.Add(1)
			for range in {
				if _, err := c.Write(bytes.Repeat([]byte("x"), answer)); err != nil {
					return 0, err
				}
			}
			return len(in), nil
		}}
	}, func(t *testing.T, r *rig, h *eventFuncs) {
		c := r.dial(0)
		small(t, c)
		if _, err := c.Write(bytes.Repeat([]byte("a"), 128)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the first call", func() bool { return calls.Load() > 0 })
		first := calls.Load()
		if _, err := c.Write([]byte("b")); err != nil {
			t.Fatal(err)
		}
		other := r.dial(0) // is served meanwhile
		ask(t, other, "a", strings.Repeat("x", answer))
		if n := calls.Load() - 1; n != first {
			t.Errorf("%d calls of Data while bytes are unsent, want %d", n, first)
		}
		if n, err := io.CopyN(io.Discard, c, 129*answer); err != nil {
			t.Errorf("%d bytes of the answers came: %v", n, err)
		}
	})
}

func TestEventHandlerMayWaitForASlowClient(t *testing.T) {
	const answer = 256 << 10
	onEvents(t, Config{MaxUnsent: 512 << 10}, func() *eventFuncs {
		return &eventFuncs{data: func(c *Conn, in []byte, _ bool) (n int, err error) {
			for n < len(in) && c.Unsent() == 0 {
				if _, err := c.Write(bytes.Repeat(in[n:n+1], answer)); err != nil {
					return n, err
				}
				n++
			}
			return n, nil
		}}
	}, func(t *testing.T, r *rig, h *eventFuncs) {
		c := r.dial(0).(*net.TCPConn)
		small(t, c)
		if _, err := c.Write([]byte("abcdefghijklmnop")); err != nil {
			t.Fatal(err)
		}
		_ = c.CloseWrite()
		answers, err := io.ReadAll(c)
		var want []byte
		for _, b := range []byte("abcdefghijklmnop") {
			want = append(want, bytes.Repeat([]byte{b}, answer)...)
		}
		if err != nil || !bytes.Equal(answers, want) {
			t.Errorf("%d bytes came, %v; want %d in the order of the requests", len(answers), err, len(want))
		}
		if err := h.endedOne(t); err != nil {
			t.Errorf("Close(%v), want nil", err)
		}
	})
}

func TestEventTooManyUnsentBytesFailTheConnection(t *testing.T) {
	var write atomic.Pointer[error]
	onEvents(t, Config{MaxUnsent: 1 << 20}, func() *eventFuncs {
		return &eventFuncs{data: func(c *Conn, in []byte, _ bool) (int, error) {
			for range 256 { // 64 MiB, more than the kernel takes
				if _, err := c.Write(make([]byte, 256<<10)); err != nil {
					write.Store(&err)
					return len(in), nil // the loop knows
				}
			}
			return len(in), errTest
		}}
	}, func(t *testing.T, r *rig, h *eventFuncs) {
		c := r.dial(0)
		small(t, c)
		if _, err := c.Write([]byte("a")); err != nil {
			t.Fatal(err)
		}
		if err := h.endedOne(t); !errors.Is(err, ErrUnsent) {
			t.Fatalf("Close(%v), want ErrUnsent", err)
		}
		if err := *write.Load(); !errors.Is(err, ErrUnsent) {
			t.Errorf("Write: %v, want ErrUnsent", err)
		}
		r.logged("connection failed")
		r.hasActive(0)
		if n := r.slot.Failed.Load(); n != 1 {
			t.Errorf("%d failed, want 1", n)
		}
	})
}

func TestEventTooLongAMessageFailsTheConnection(t *testing.T) {
	onEvents(t, Config{MaxMessage: 1000}, upperEvents, func(t *testing.T, r *rig, h *eventFuncs) {
		c := r.dial(0)
		ask(t, c, strings.Repeat("a", 1000)+"\n", strings.Repeat("A", 1000)+"\n")
		if _, err := c.Write(bytes.Repeat([]byte("a"), 1001)); err != nil {
			t.Fatal(err)
		}
		expectEOF(t, c)
		if err := h.endedOne(t); !errors.Is(err, ErrMessageTooLong) {
			t.Errorf("Close(%v), want ErrMessageTooLong", err)
		}
	})
}

// Each timeout ends the connection with an error that names it.
func TestEventTimeouts(t *testing.T) {
	const short = 20 * time.Millisecond
	flood := func() *eventFuncs {
		return &eventFuncs{open: func(c *Conn) error { _, err := c.Write(make([]byte, 8<<20)); return err }}
	}
	for key, c := range map[string]struct {
		cfg  Config
		make func() *eventFuncs
	}{
		"idle_timeout":      {Config{IdleTimeout: short}, echoEvents},
		"read_timeout":      {Config{ReadTimeout: short}, echoEvents},
		"handshake_timeout": {Config{HandshakeTimeout: short}, upperEvents},
		"handler_timeout":   {Config{HandlerTimeout: short}, echoEvents},
		"write_timeout":     {Config{WriteTimeout: short, MaxUnsent: 16 << 20}, flood},
	} {
		t.Run(key, func(t *testing.T) {
			onEvents(t, c.cfg, c.make, func(t *testing.T, r *rig, h *eventFuncs) {
				client := r.dial(0)
				small(t, client)
				if key != "write_timeout" {
					if _, err := client.Write([]byte("half a line")); err != nil {
						t.Fatal(err)
					}
				}
				if err := h.endedOne(t); !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), key) {
					t.Errorf("Close(%v), want %s", err, key)
				}
				r.hasActive(0)
				if n := r.slot.Failed.Load(); n != 1 {
					t.Errorf("%d failed, want 1", n)
				}
			})
		})
	}
}

func TestEventHandshakeTimeoutEndsWithTheFirstConsumedByte(t *testing.T) {
	onEvents(t, Config{HandshakeTimeout: 50 * time.Millisecond}, upperEvents, func(t *testing.T, r *rig, h *eventFuncs) {
		c, silent := r.dial(0), r.dial(0)
		ask(t, c, "a\n", "A\n")
		if err := h.endedOne(t); !errors.Is(err, errHandshakeTimeout) {
			t.Errorf("Close(%v), want %v", err, errHandshakeTimeout)
		}
		_, _ = silent.Read(make([]byte, 1))
		ask(t, c, "b\n", "B\n")
	})
}

func TestEventDrainEndsIdleConnectionsWithEOF(t *testing.T) {
	onEvents(t, Config{DrainIdle: 20 * time.Millisecond}, upperEvents, func(t *testing.T, r *rig, h *eventFuncs) {
		idle, half := r.dial(0), r.dial(0)
		ask(t, idle, "a\n", "A\n")
		if _, err := half.Write([]byte("half")); err != nil {
			t.Fatal(err)
		}
		r.send(&ipc.Drain{TimeoutMS: patience.Milliseconds()})
		expectEOF(t, idle)
		expect(t, half, "HALF")
		expectEOF(t, half)
		if err := r.wait(); err != nil {
			t.Errorf("Run: %v", err)
		}
		r.drainedWith(0)
		for _, err := range h.ended(t, 2) {
			if err != nil {
				t.Errorf("Close(%v), want nil", err)
			}
		}
	})
}

func TestEventDrainServesActiveConnections(t *testing.T) {
	onEvents(t, Config{}, upperEvents, func(t *testing.T, r *rig, h *eventFuncs) {
		c := r.dial(0)
		ask(t, c, "a\n", "A\n")
		r.send(&ipc.Drain{TimeoutMS: patience.Milliseconds()})
		r.hasState(ipc.Draining)
		ask(t, c, "b\n", "B\n")
		_ = c.Close()
		if err := r.wait(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestEventDrainDeadlineCutsConnections(t *testing.T) {
	onEvents(t, Config{}, echoEvents, func(t *testing.T, r *rig, h *eventFuncs) {
		c := r.dial(0)
		ask(t, c, "a", "a")
		r.send(&ipc.Drain{TimeoutMS: 10})
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("the connection is open")
		}
		if err := r.wait(); err != nil {
			t.Errorf("Run: %v", err)
		}
		r.drainedWith(1)
		if err := h.endedOne(t); !errors.Is(err, ErrDrainDeadline) {
			t.Errorf("Close(%v), want ErrDrainDeadline", err)
		}
	})
}

func TestEventStopClosesConnections(t *testing.T) {
	onEvents(t, Config{}, echoEvents, func(t *testing.T, r *rig, h *eventFuncs) {
		c := r.dial(0)
		ask(t, c, "a", "a")
		r.send(&ipc.Stop{})
		if err := r.wait(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := h.endedOne(t); !errors.Is(err, ErrStopped) {
			t.Errorf("Close(%v), want ErrStopped", err)
		}
	})
}

func TestEventMaxConnectionsLeavesTheRestInTheQueue(t *testing.T) {
	onEvents(t, Config{MaxConnections: 1}, echoEvents, func(t *testing.T, r *rig, h *eventFuncs) {
		first, second := r.dial(0), r.dial(0)
		ask(t, first, "a", "a")
		if _, err := second.Write([]byte("b")); err != nil {
			t.Fatal(err)
		}
		if n := r.slot.Active.Load(); n != 1 {
			t.Errorf("%d active, want 1", n)
		}
		_ = first.Close()
		expect(t, second, "b")
	})
}

func TestEventHooks(t *testing.T) {
	var failed atomic.Pointer[error]
	hooks := Hooks{
		VerifyRequest: func(c *Conn) bool {
			_, _ = c.Write([]byte("?"))
			return c.Listener() == "l0"
		},
		HandleError: func(_ context.Context, c *Conn, err error) {
			failed.Store(&err)
			_, _ = c.Write([]byte("sorry"))
		},
	}
	h := &eventFuncs{data: func(_ *Conn, in []byte, _ bool) (int, error) { return len(in), errTest }}
	r := accepting(t, Config{Mode: Event}, Options{EventHandler: h, Hooks: hooks}, "127.0.0.1:0", "127.0.0.1:0")
	refused := r.dial(1)
	expect(t, refused, "?")
	expectEOF(t, refused)
	c := r.dial(0)
	expect(t, c, "?")
	ask(t, c, "x", "sorry")
	expectEOF(t, c)
	if err := *failed.Load(); err != errTest {
		t.Errorf("HandleError got %v", err)
	}
	h.ended(t, 1) // not for the refused one
	r.hasActive(0)
	if n := r.slot.Rejected.Load(); n != 1 {
		t.Errorf("%d rejected, want 1", n)
	}
}

// Select cannot watch a descriptor of 1024 or more: that connection is refused.
func TestEventSelectRefusesAConnectionThatItCannotWatch(t *testing.T) {
	h := echoEvents()
	r := accepting(t, Config{Mode: Event, Poller: "select"}, Options{EventHandler: h})
	first := r.dial(0)
	ask(t, first, "a", "a")
	holdDescriptors(t)
	c := r.dial(0)
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is served")
	}
	r.logged("connection rejected")
	ask(t, first, "b", "b")
	if n := r.slot.Rejected.Load(); n != 1 {
		t.Errorf("%d rejected, want 1", n)
	}
}
