package worker

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"prefork/ipc"
)

// A connection has unsent bytes and requests that wait until they are sent. Then the
// handler of another connection writes to it, and the loop sends everything: the
// requests must not wait for more of the client's bytes.
func TestEventRequestsGoOnWhenAnotherConnectionsCallHasSent(t *testing.T) {
	const answer, requests = directSize, 1000
	var slow *Conn
	stuck, sent, read := make(chan struct{}, 100), make(chan uint64), make(chan struct{})
	h := &eventFuncs{data: func(c *Conn, in []byte, _ bool) (n int, err error) {
		if string(in) == "push" {
			sent <- slow.BytesOut()
			<-read
			_, err := slow.Write(in)
			return len(in), err
		}
		slow = c
		for n < len(in) && c.Unsent() == 0 {
			if _, err := c.Write(make([]byte, answer)); err != nil {
				return n, err
			}
			n++
		}
		if c.Unsent() > 0 {
			notify(stuck)
		}
		return n, nil
	}}
	r := accepting(t, Config{Mode: Event}, Options{EventHandler: h})
	c, other := r.dial(0), r.dial(0)
	small(t, c)
	if _, err := c.Write(make([]byte, requests)); err != nil {
		t.Fatal(err)
	}
	within(t, "unsent bytes", stuck)
	if _, err := other.Write([]byte("push")); err != nil {
		t.Fatal(err)
	}
	first := int64(within(t, "the other call", sent))
	if _, err := io.CopyN(io.Discard, c, first); err != nil {
		t.Fatal(err)
	}
	close(read)
	if n, err := io.CopyN(io.Discard, c, requests*answer+int64(len("push"))-first); err != nil {
		t.Errorf("%d bytes came, then %v", n, err)
	}
}

// What one call writes to another connection is sent when it is much.
func TestEventMuchMayBeWrittenToAnotherConnection(t *testing.T) {
	const piece, pieces, limit = directSize, 4, directSize + 1
	var to *Conn
	h := &eventFuncs{data: func(c *Conn, in []byte, _ bool) (int, error) {
		if to == nil {
			to = c
			_, err := c.Write(in)
			return len(in), err
		}
		for range pieces {
			if _, err := to.Write(make([]byte, piece)); err != nil {
				return 0, err
			}
		}
		return len(in), nil
	}}
	r := accepting(t, Config{Mode: Event, MaxUnsent: limit}, Options{EventHandler: h})
	c, other := r.dial(0), r.dial(0)
	ask(t, c, "x", "x")
	if _, err := other.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyN(io.Discard, c, pieces*piece); err != nil {
		t.Errorf("%d bytes came, then %v", n, err)
	}
}

// The heartbeat goes on, and connections are served, while many functions of Wake wait.
func TestEventManyWakesLeaveTheLoopItsTurns(t *testing.T) {
	const wakes = 3000
	beats := map[int64]bool{}
	n := make(chan int, 1)
	h := &eventFuncs{data: func(c *Conn, in []byte, _ bool) (int, error) {
		for i := range wakes {
			c.Wake(func(c *Conn) {
				beats[c.table.slot.Beat.Load()] = true
				if i == wakes-1 {
					n <- len(beats)
				}
			})
		}
		return len(in), nil
	}}
	r := accepting(t, Config{Mode: Event}, Options{EventHandler: h})
	if _, err := r.dial(0).Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n := within(t, "the functions", n); n < 4 {
		t.Errorf("%d functions in %d turns of the loop", wakes, n)
	}
}

// Nobody is late because the loop did not look, whether the process was suspended or a
// handler has blocked it.
func TestEventABlockedLoopDoesNotCountForTimeouts(t *testing.T) {
	blocks, release := make(chan struct{}), make(chan struct{})
	upper := byLine(bytes.ToUpper)
	h := &eventFuncs{data: func(c *Conn, in []byte, eof bool) (int, error) {
		if string(in) == "block\n" {
			close(blocks)
			<-release
		}
		return upper(c, in, eof)
	}}
	r := accepting(t, Config{Mode: Event, HandshakeTimeout: minFreeze}, Options{EventHandler: h})
	late, blocking := r.dial(0), r.dial(0)
	r.hasActive(2)
	if _, err := blocking.Write([]byte("block\n")); err != nil {
		t.Fatal(err)
	}
	within(t, "the block", blocks)
	if _, err := late.Write([]byte("in time\n")); err != nil {
		t.Fatal(err)
	}
	length := time.NewTimer(minFreeze + 50*time.Millisecond)
	<-length.C
	close(release)
	expect(t, late, "IN TIME\n")
	expect(t, blocking, "BLOCK\n")
}

// A handler whose Close ends the goroutine does not keep the worker from its end.
func TestEventGoexitAtTheEndEndsTheWorker(t *testing.T) {
	h := &eventFuncs{close: func(*Conn, error) { runtime.Goexit() }}
	addr, a := serveAlone(t, Config{Mode: Event}, Options{EventHandler: h})
	for range 3 {
		ask(t, dial(t, addr), "x", "x")
	}
	a.Stop()
	within(t, "the end", a.Done())
}

// A refused client does not hold up what its hook has written to another one.
func TestEventVerifyRequestWritesToAnotherConnection(t *testing.T) {
	var first atomic.Pointer[Conn]
	hooks := Hooks{VerifyRequest: func(c *Conn) bool {
		if to := first.Load(); to != nil {
			_, _ = to.Write([]byte("refused one"))
			return false
		}
		first.Store(c)
		return true
	}}
	r := accepting(t, Config{Mode: Event}, Options{EventHandler: echoEvents(), Hooks: hooks})
	c := r.dial(0)
	ask(t, c, "x", "x")
	expectEOF(t, r.dial(0))
	expect(t, c, "refused one")
}

// All that a call does to other connections is done, though their events are in the
// same batch.
func TestEventHandlerClosesConnectionsThatAreReady(t *testing.T) {
	onEvents(t, Config{}, func() *eventFuncs {
		room := map[*Conn]bool{}
		return &eventFuncs{
			open: func(c *Conn) error { room[c] = true; return nil },
			data: func(c *Conn, in []byte, _ bool) (int, error) {
				if string(in) == "all" {
					for other := range room {
						_ = other.Close()
					}
				}
				_, _ = c.Write(in)
				return len(in), nil
			},
			close: func(c *Conn, _ error) { delete(room, c) },
		}
	}, func(t *testing.T, r *rig, h *eventFuncs) {
		const clients = 20
		var all []net.Conn
		for range clients {
			all = append(all, r.dial(0))
		}
		r.hasActive(clients)
		for _, c := range all {
			_, _ = c.Write([]byte("all"))
		}
		for _, c := range all {
			_, _ = io.Copy(io.Discard, c)
		}
		h.ended(t, clients)
		ask(t, r.dial(0), "x", "x")
		r.hasActive(1)
		if n := r.slot.Handled.Load(); n != clients {
			t.Errorf("%d handled, want %d", n, clients)
		}
	})
}

// With fewer places than clients the queue is not empty before they are served.
func TestEventDrainEmptiesTheQueue(t *testing.T) {
	onEvents(t, Config{MaxConnections: 1}, func() *eventFuncs {
		return &eventFuncs{data: func(c *Conn, in []byte, _ bool) (int, error) {
			_, _ = c.Write(in)
			return len(in), io.EOF
		}}
	}, func(t *testing.T, r *rig, _ *eventFuncs) {
		var clients []net.Conn
		for range 8 {
			clients = append(clients, r.dial(0))
		}
		eventually(t, "the others to queue", func() bool { return r.queued(0) == len(clients)-1 })
		r.send(&ipc.Drain{TimeoutMS: long, Own: []string{"l0"}})
		r.hasState(ipc.Emptying)
		for _, c := range clients {
			ask(t, c, "x", "x")
			expectEOF(t, c)
		}
		if err := r.wait(); err != nil {
			t.Errorf("Run: %v", err)
		}
		r.drainedWith(0)
	})
}

func TestEventGoexitOrPanicInHandleErrorCostsOneConnection(t *testing.T) {
	for name, f := range map[string]func(){"goexit": runtime.Goexit, "panic": func() { panic("of the hook") }} {
		t.Run(name, func(t *testing.T) {
			hooks := Hooks{HandleError: func(context.Context, *Conn, error) { f() }}
			h := &eventFuncs{data: func(c *Conn, in []byte, _ bool) (int, error) {
				if string(in) == "fail" {
					_, _ = c.Write([]byte("bye"))
					return len(in), errTest
				}
				_, err := c.Write(in)
				return len(in), err
			}}
			r := accepting(t, Config{Mode: Event}, Options{EventHandler: h, Hooks: hooks})
			other := r.dial(0)
			ask(t, other, "a", "a")
			for range 3 {
				c := r.dial(0)
				ask(t, c, "fail", "bye")
				expectEOF(t, c)
			}
			ask(t, other, "b", "b")
			r.hasActive(1)
			h.ended(t, 3)
			if n := r.slot.Failed.Load(); n != 3 {
				t.Errorf("%d failed, want 3", n)
			}
		})
	}
}

// Clients send more after what ends the connection. That is no failure.
func TestEventMessagesEndWithTheConnection(t *testing.T) {
	var asked atomic.Int32
	h := &eventFuncs{data: Messages(SplitLines(10), func(c *Conn, line []byte) error {
		asked.Add(1)
		if _, err := c.Write(line); err != nil || string(line) != "quit" {
			return err
		}
		return c.Close()
	}).Data}
	r := accepting(t, Config{Mode: Event}, Options{EventHandler: h})
	c := r.dial(0)
	ask(t, c, "a\nquit\nb\nc\n", "aquit")
	expectEOF(t, c)
	if err := h.endedOne(t); err != nil || asked.Load() != 2 {
		t.Errorf("%d messages, then Close(%v); want 2 and nil", asked.Load(), err)
	}
}

// A program may have an EventHandler and a Service: the mode decides which of them runs.
func TestEventLeavesTheServiceAlone(t *testing.T) {
	service := newHand()
	h := echoEvents()
	r := accepting(t, Config{Mode: Event, DrainIdle: 20 * time.Millisecond}, Options{EventHandler: h, Service: service})
	c := r.dial(0)
	ask(t, c, "x", "x")
	r.send(&ipc.Drain{TimeoutMS: long})
	expectEOF(t, c)
	if err := r.wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
	select {
	case <-service.drained:
		t.Error("the Service was drained")
	default:
	}
	cfg, _, err := configure(Config{Mode: Event}, Options{EventHandler: h, Service: service})
	if err != nil || cfg.IdleTimeout <= 0 {
		t.Errorf("idle_timeout %v, %v; want the default", cfg.IdleTimeout, err)
	}
}
