package worker

import (
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/needtool"
)

// holdDescriptors opens all descriptors below 1024 that are free.
func holdDescriptors(t *testing.T) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur <= unix.FD_SETSIZE+64 {
		needtool.Skip(t, "the limit of %d open files leaves no descriptor above FD_SETSIZE", limit.Cur)
	}
	for {
		fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		if fd >= unix.FD_SETSIZE {
			return
		}
	}
}

func TestEventWakeRunsOnTheLoop(t *testing.T) {
	onEvents(t, Config{}, func() *eventFuncs {
		return &eventFuncs{data: func(c *Conn, in []byte, eof bool) (int, error) {
			if eof {
				c.Keep()
				return len(in), nil
			}
			answer := strings.ToUpper(string(in))
			go c.Wake(func(c *Conn) {
				_, _ = c.Write([]byte(answer))
				if answer == "LAST" {
					_ = c.Close()
				}
			})
			return len(in), nil
		}}
	}, func(t *testing.T, r *rig, h *eventFuncs) {
		c := r.dial(0).(*net.TCPConn)
		ask(t, c, "one", "ONE")
		if _, err := c.Write([]byte("last")); err != nil {
			t.Fatal(err)
		}
		_ = c.CloseWrite()
		expect(t, c, "LAST")
		expectEOF(t, c)
		if err := h.endedOne(t); err != nil {
			t.Errorf("Close(%v), want nil", err)
		}
	})
}

func TestEventWakeOfAnEndedConnectionDoesNothing(t *testing.T) {
	var conn atomic.Pointer[Conn]
	onEvents(t, Config{}, func() *eventFuncs {
		return &eventFuncs{open: func(c *Conn) error { conn.Store(c); return nil }}
	}, func(t *testing.T, r *rig, h *eventFuncs) {
		c := r.dial(0)
		ask(t, c, "a", "a")
		ended := conn.Load()
		_ = c.Close()
		h.ended(t, 1)
		ended.Wake(func(*Conn) { t.Error("called for a closed connection") })
		called := make(chan struct{})
		other := r.dial(0)
		ask(t, other, "b", "b")
		conn.Load().Wake(func(*Conn) { close(called) })
		within(t, "the function", called)
		eventually(t, "its end", func() bool { return ended.table.events.current.Load() == nil })
		if _, err := conn.Load().Write([]byte("x")); err == nil {
			t.Error("Write works outside of the handler")
		}
		if err := ended.SetNoDelay(true); err == nil {
			t.Error("SetNoDelay works after the end")
		}
	})
}

// A handler may write to any connection: here each client gets what the others send.
func TestEventHandlerWritesToOtherConnections(t *testing.T) {
	onEvents(t, Config{}, func() *eventFuncs {
		room := map[*Conn]bool{}
		return &eventFuncs{
			open: func(c *Conn) error { room[c] = true; _, err := c.Write([]byte("in")); return err },
			data: func(c *Conn, in []byte, _ bool) (int, error) {
				for other := range room {
					if _, err := other.Write(in); err != nil {
						return 0, err
					}
					if string(in) == "end" && other != c {
						_ = other.Close()
					}
				}
				return len(in), nil
			},
			close: func(c *Conn, _ error) { delete(room, c) },
		}
	}, func(t *testing.T, r *rig, h *eventFuncs) {
		a, b := r.dial(0), r.dial(0)
		expect(t, a, "in")
		expect(t, b, "in")
		ask(t, a, "one", "one")
		expect(t, b, "one")
		ask(t, a, "end", "end")
		expect(t, b, "end")
		expectEOF(t, b)
		ask(t, a, "alone", "alone")
	})
}

// runtime.Goexit ends a goroutine. That of the loop has all connections.
func TestEventGoexitCostsOneConnection(t *testing.T) {
	for _, where := range []string{"data", "close", "wake"} {
		t.Run(where, func(t *testing.T) {
			onEvents(t, Config{}, func() *eventFuncs {
				var once sync.Once
				exit := func(at string) {
					if at == where {
						once.Do(runtime.Goexit)
					}
				}
				return &eventFuncs{
					data: func(c *Conn, in []byte, eof bool) (int, error) {
						if string(in) == "exit" {
							exit("data")
							c.Wake(func(*Conn) { exit("wake") })
							if where == "close" {
								return len(in), errTest
							}
						}
						_, err := c.Write(in)
						return len(in), err
					},
					close: func(_ *Conn, err error) {
						if err != nil {
							exit("close")
						}
					},
				}
			}, func(t *testing.T, r *rig, h *eventFuncs) {
				other := r.dial(0)
				ask(t, other, "a", "a")
				c := r.dial(0)
				if _, err := c.Write([]byte("exit")); err != nil {
					t.Fatal(err)
				}
				if where == "wake" {
					expect(t, c, "exit")
				}
				expectEOF(t, c)
				ask(t, other, "b", "b")
				ask(t, r.dial(0), "c", "c")
				eventually(t, "the failure", func() bool { return r.slot.Failed.Load() == 1 })
			})
		})
	}
}

func TestEventHandlerThatBlocksTheLoopIsNamed(t *testing.T) {
	release := make(chan struct{})
	h := &eventFuncs{data: func(c *Conn, in []byte, _ bool) (int, error) {
		blockForTest(release)
		_, err := c.Write(in)
		return len(in), err
	}}
	r := accepting(t, Config{Mode: Event}, Options{EventHandler: h})
	c := r.dial(0)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	e := r.logged("handler blocks the loop")
	close(release)
	expect(t, c, "x")
	fields := e.ContextMap()
	if stack, _ := fields["stack"].(string); !strings.Contains(stack, "blockForTest") {
		t.Errorf("the stack does not show the handler: %q", stack)
	}
	if remote := fields["remote"]; remote != c.LocalAddr().String() {
		t.Errorf("remote %v, want %v", remote, c.LocalAddr())
	}
	if slot := fields["slot"]; slot != int64(1) {
		t.Errorf("slot %v, want 1", slot)
	}
}

func blockForTest(release <-chan struct{}) { <-release }

func TestEventConnRefusesWhatWouldWait(t *testing.T) {
	errs := make(chan error, 10)
	h := &eventFuncs{open: func(c *Conn) error {
		_, err := c.Read(make([]byte, 1))
		errs <- err
		_, err = c.WriteTo(nil)
		errs <- err
		_, err = c.ReadFrom(nil)
		errs <- err
		errs <- c.SetReadDeadline(longAgo)
		errs <- c.SetDeadline(longAgo)
		errs <- c.SetWriteDeadline(longAgo)
		raw, _ := c.SyscallConn()
		errs <- raw.Read(nil)
		errs <- raw.Write(nil)
		close(errs)
		return raw.Control(func(fd uintptr) {})
	}}
	r := accepting(t, Config{Mode: Event}, Options{EventHandler: h})
	c := r.dial(0)
	ask(t, c, "x", "x")
	for err := range errs {
		if err == nil || !strings.Contains(err.Error(), "mode event") {
			t.Errorf("%v, want an error that names the mode", err)
		}
	}
}

func TestEventConnKnowsItsAddresses(t *testing.T) {
	addrs := make(chan string, 2)
	h := &eventFuncs{open: func(c *Conn) error {
		addrs <- c.LocalAddr().String()
		addrs <- c.RemoteAddr().String()
		return c.SetNoDelay(false)
	}}
	r := accepting(t, Config{Mode: Event}, Options{EventHandler: h}, "0.0.0.0:0")
	_, port, err := net.SplitHostPort(r.addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, "127.0.0.1:"+port)
	if got := within(t, "the local address", addrs); got != c.RemoteAddr().String() {
		t.Errorf("local %s, want %s", got, c.RemoteAddr())
	}
	if got := within(t, "the remote address", addrs); got != c.LocalAddr().String() {
		t.Errorf("remote %s, want %s", got, c.LocalAddr())
	}
	ask(t, c, "x", "x")
}

// The loop makes system calls of which the scheduler does not know. They must not hold
// up the collector, which stops all goroutines.
func TestEventLoopLetsTheCollectorRun(t *testing.T) {
	onEvents(t, Config{}, echoEvents, func(t *testing.T, r *rig, h *eventFuncs) {
		c := r.dial(0)
		collected := make(chan struct{})
		go func() {
			defer close(collected)
			for range 20 {
				runtime.GC()
			}
		}()
		for done := false; !done; {
			ask(t, c, "x", "x")
			select {
			case <-collected:
				done = true
			default:
			}
		}
	})
}
