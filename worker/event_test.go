package worker

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func echoEvents() *eventFuncs { return &eventFuncs{} }

func upperEvents() *eventFuncs { return &eventFuncs{data: byLine(bytes.ToUpper)} }

func TestEventAnswersManyClients(t *testing.T) {
	onEvents(t, Config{}, upperEvents, func(t *testing.T, r *rig, h *eventFuncs) {
		var clients []net.Conn
		for range 20 {
			clients = append(clients, r.dial(0))
		}
		for range 3 {
			for _, c := range clients {
				ask(t, c, "hello\n", "HELLO\n")
			}
		}
		r.hasActive(20)
		for _, c := range clients {
			_ = c.Close()
		}
		r.hasActive(0)
		for _, err := range h.ended(t, 20) {
			if err != nil {
				t.Errorf("a client that has closed: Close(%v), want nil", err)
			}
		}
		eventually(t, "the counters", func() bool {
			return r.slot.Handled.Load() == 20 && r.slot.BytesIn.Load() == 360 && r.slot.BytesOut.Load() == 360 && r.slot.Latency.Count() == 60
		})
	})
}

func TestEventKeepsAnIncompleteMessage(t *testing.T) {
	for _, size := range []int{1, 40 << 10} { // the second needs more than the shared buffer
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			calls := make(chan int, 1000)
			onEvents(t, Config{MaxMessage: 1 << 20}, func() *eventFuncs {
				upper := byLine(bytes.ToUpper)
				return &eventFuncs{data: func(c *Conn, in []byte, eof bool) (int, error) {
					n, err := upper(c, in, eof)
					calls <- len(in) - n
					return n, err
				}}
			}, func(t *testing.T, r *rig, _ *eventFuncs) {
				c := r.dial(0)
				for kept := 0; kept < 5*size; {
					if _, err := c.Write(bytes.Repeat([]byte("a"), size)); err != nil {
						t.Fatal(err)
					}
					for want := kept + size; kept < want; {
						kept = within(t, "the call of Data", calls)
					}
				}
				ask(t, c, "\nb", strings.Repeat("A", 5*size)+"\n")
				ask(t, c, "c\n", "BC\n")
			})
		})
	}
}

func TestEventAnswersTheLastLineAtEOF(t *testing.T) {
	onEvents(t, Config{}, upperEvents, func(t *testing.T, r *rig, h *eventFuncs) {
		c := r.dial(0).(*net.TCPConn)
		if _, err := c.Write([]byte("one\ntwo")); err != nil {
			t.Fatal(err)
		}
		_ = c.CloseWrite()
		expect(t, c, "ONE\nTWO")
		expectEOF(t, c)
		if err := h.endedOne(t); err != nil {
			t.Errorf("Close(%v), want nil", err)
		}
	})
}

func TestEventSendsWhatOneCallWritesAtOnce(t *testing.T) {
	onEvents(t, Config{}, func() *eventFuncs {
		return &eventFuncs{data: func(c *Conn, in []byte, _ bool) (int, error) {
			for range 5 {
				if _, err := c.Write([]byte("x")); err != nil {
					return 0, err
				}
			}
			return len(in), nil
		}}
	}, func(t *testing.T, r *rig, _ *eventFuncs) {
		// A message of a sequenced-packet socket would show it, but workers serve
		// streams: TCP_INFO counts the segments.
		c := r.dial(0).(*net.TCPConn)
		ask(t, c, "go", "xxxxx")
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		_ = raw.Control(func(fd uintptr) {
			info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			if err != nil || info.Data_segs_in != 1 {
				t.Errorf("%d segments came, want 1 (%v)", info.Data_segs_in, err)
			}
		})
	})
}

func TestEventBannerOfOpenComesFirst(t *testing.T) {
	onEvents(t, Config{}, func() *eventFuncs {
		return &eventFuncs{open: func(c *Conn) error { _, err := c.Write([]byte("hi\n")); return err }}
	}, func(t *testing.T, r *rig, _ *eventFuncs) {
		c := r.dial(0)
		expect(t, c, "hi\n")
		ask(t, c, "x", "x")
	})
}

var errTest = errors.New("of the test")

func TestEventSendsBeforeItClosesAfterAnError(t *testing.T) {
	for name, c := range map[string]struct {
		err    error // of Data
		failed uint64
		ended  error // of Close
	}{"an error": {errTest, 1, errTest}, "EOF": {io.EOF, 0, nil}} {
		t.Run(name, func(t *testing.T) {
			onEvents(t, Config{}, func() *eventFuncs {
				return &eventFuncs{data: func(conn *Conn, in []byte, _ bool) (int, error) {
					_, _ = conn.Write([]byte("bye"))
					return len(in), c.err
				}}
			}, func(t *testing.T, r *rig, h *eventFuncs) {
				client := r.dial(0)
				ask(t, client, "hello", "bye")
				expectEOF(t, client)
				if err := h.endedOne(t); err != c.ended {
					t.Errorf("Close(%v), want %v", err, c.ended)
				}
				r.hasActive(0)
				if n := r.slot.Failed.Load(); n != c.failed {
					t.Errorf("%d failed, want %d", n, c.failed)
				}
			})
		})
	}
}

func TestEventErrorOfOpenCloses(t *testing.T) {
	onEvents(t, Config{}, func() *eventFuncs {
		return &eventFuncs{open: func(*Conn) error { return errTest }}
	}, func(t *testing.T, r *rig, h *eventFuncs) {
		expectEOF(t, r.dial(0))
		if err := h.endedOne(t); err != errTest {
			t.Errorf("Close(%v)", err)
		}
	})
}

func TestEventHandlerCloses(t *testing.T) {
	onEvents(t, Config{}, func() *eventFuncs {
		return &eventFuncs{data: func(c *Conn, in []byte, _ bool) (int, error) {
			_, err := c.Write([]byte("bye"))
			err = errors.Join(err, c.Close())
			if _, werr := c.Write([]byte("no")); !errors.Is(werr, net.ErrClosed) {
				err = errors.Join(err, errTest)
			}
			return len(in), err
		}}
	}, func(t *testing.T, r *rig, h *eventFuncs) {
		c := r.dial(0)
		ask(t, c, "x", "bye")
		expectEOF(t, c)
		if err := h.endedOne(t); err != nil {
			t.Errorf("Close(%v), want nil", err)
		}
	})
}

func TestEventCloseWriteLeavesTheOtherDirection(t *testing.T) {
	onEvents(t, Config{}, func() *eventFuncs {
		got := ""
		return &eventFuncs{
			open: func(c *Conn) error { _, err := c.Write([]byte("only this")); return errors.Join(err, c.CloseWrite()) },
			data: func(_ *Conn, in []byte, _ bool) (int, error) { got += string(in); return len(in), nil },
			close: func(*Conn, error) {
				if got != "more" {
					panic("got " + got)
				}
			},
		}
	}, func(t *testing.T, r *rig, h *eventFuncs) {
		c := r.dial(0)
		expect(t, c, "only this")
		expectEOF(t, c)
		if _, err := c.Write([]byte("more")); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		h.ended(t, 1)
		r.hasActive(0)
		if n := r.slot.Handled.Load(); n != 1 {
			t.Errorf("%d handled, want 1", n)
		}
	})
}

// A close with unread bytes would send a reset, which destroys the answer.
func TestEventCloseDestroysNoAnswer(t *testing.T) {
	onEvents(t, Config{}, func() *eventFuncs {
		return &eventFuncs{data: func(c *Conn, _ []byte, _ bool) (int, error) {
			_, _ = c.Write([]byte("too long\n"))
			return 0, errTest
		}}
	}, func(t *testing.T, r *rig, _ *eventFuncs) {
		for range 20 {
			c := r.dial(0)
			if _, err := c.Write(bytes.Repeat([]byte("x"), 512<<10)); err != nil {
				t.Fatalf("send: %v", err)
			}
			expect(t, c, "too long\n")
			expectEOF(t, c)
		}
	})
}

func TestEventPanicCostsOneConnection(t *testing.T) {
	for _, where := range []string{"open", "data", "close", "wake"} {
		t.Run(where, func(t *testing.T) {
			onEvents(t, Config{}, func() *eventFuncs {
				opened := 0
				return &eventFuncs{
					open: func(c *Conn) error {
						if opened++; where == "open" && opened == 2 {
							panic("boom")
						}
						return nil
					},
					data: func(c *Conn, in []byte, eof bool) (int, error) {
						switch {
						case string(in) != "boom":
							_, err := c.Write(in)
							return len(in), err
						case where == "wake":
							c.Wake(func(*Conn) { panic("boom") })
							return len(in), nil
						case where == "data":
							panic("boom")
						}
						return len(in), io.EOF
					},
					close: func(c *Conn, err error) {
						if where == "close" && err == nil {
							panic("boom")
						}
					},
				}
			}, func(t *testing.T, r *rig, h *eventFuncs) {
				other := r.dial(0)
				ask(t, other, "a", "a")
				c := r.dial(0)
				if _, err := c.Write([]byte("boom")); err != nil {
					t.Fatal(err)
				}
				expectEOF(t, c)
				e := r.logged("connection failed")
				if stack, _ := e.ContextMap()["stack"].(string); !strings.Contains(stack, "event_test.go") {
					t.Errorf("the stack does not show the handler: %q", stack)
				}
				ask(t, other, "b", "b")
				r.hasActive(1)
				if n := r.slot.Failed.Load(); n != 1 {
					t.Errorf("%d failed, want 1", n)
				}
			})
		})
	}
}
