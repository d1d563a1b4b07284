package worker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"prefork/ipc"
)

func TestEventAConnectionIsOneRecord(t *testing.T) {
	h := &eventFuncs{data: func(c *Conn, in []byte, eof bool) (int, error) {
		if eof {
			return 0, nil
		}
		c.CountRequest()
		_, err := c.Write(append(bytes.ToUpper(in), '!'))
		return len(in), err
	}}
	r := logging(t, Config{Mode: Event}, Options{EventHandler: h})
	c := r.dial(0)
	ask(t, c, "hello", "HELLO!")
	ask(t, c, "you", "YOU!")
	_ = c.Close()
	e := r.entries(1)[0]
	want := entry{
		Time: e.Time, Duration: e.Duration, Remote: c.LocalAddr().String(), Listener: "l0",
		Slot: 1, PID: os.Getpid(), Generation: 3, In: 8, Out: 10, Requests: 2, Outcome: "ok",
	}
	if e != want || e.Duration <= 0 {
		t.Errorf("record %+v, want %+v", e, want)
	}
	r.hasActive(0)
}

func TestEventTheOutcomeIsHowAConnectionEnded(t *testing.T) {
	answers := func(err error) *eventFuncs {
		return &eventFuncs{data: func(_ *Conn, in []byte, _ bool) (int, error) { return len(in), err }}
	}
	nothing := func(*loggedRig, net.Conn) {}
	say := func(_ *loggedRig, c net.Conn) { _, _ = c.Write([]byte("x")) }
	for _, test := range []struct {
		name    string
		cfg     Config
		h       *eventFuncs
		does    func(*loggedRig, net.Conn)
		outcome string
		says    string
	}{
		{"eof", Config{}, echoEvents(), func(_ *loggedRig, c net.Conn) { _ = c.Close() }, "ok", ""},
		{"end", Config{}, answers(io.EOF), say, "ok", ""},
		{"error", Config{}, answers(errors.New("no luck")), say, "failed", "no luck"},
		{"panic", Config{}, &eventFuncs{open: func(*Conn) error { panic("oh") }}, nothing, "panic", "panic: oh"},
		{"panic of Close", Config{}, &eventFuncs{data: answers(io.EOF).data, close: func(*Conn, error) { panic("oh") }}, say, "panic", "panic: oh"},
		{"long message", Config{MaxMessage: 1}, upperEvents(), func(_ *loggedRig, c net.Conn) { _, _ = c.Write([]byte("xy")) }, "failed", "too long"},
		{"read timeout", Config{ReadTimeout: time.Millisecond}, echoEvents(), nothing, "timeout", "read_timeout"},
		{"idle timeout", Config{IdleTimeout: time.Millisecond}, echoEvents(), nothing, "timeout", "idle_timeout"},
		{"handshake timeout", Config{HandshakeTimeout: time.Millisecond}, echoEvents(), nothing, "timeout", "handshake_timeout"},
		{"handler timeout", Config{HandlerTimeout: time.Millisecond}, echoEvents(), nothing, "timeout", "handler_timeout"},
		{"write timeout", Config{WriteTimeout: time.Millisecond, MaxUnsent: 64 << 20}, &eventFuncs{open: func(c *Conn) error {
			_, err := c.Write(make([]byte, 32<<20))
			return err
		}}, nothing, "timeout", "write_timeout"},
		{"drain", Config{}, echoEvents(), func(r *loggedRig, _ net.Conn) { r.send(&ipc.Drain{TimeoutMS: 1}) }, "cut", "deadline"},
		{"reset", Config{}, echoEvents(), func(_ *loggedRig, c net.Conn) { reset(c) }, "reset", "reset"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Mode = Event
			hooks := Hooks{HandleError: func(context.Context, *Conn, error) {}}
			r := logging(t, test.cfg, Options{EventHandler: test.h, Hooks: hooks})
			c := r.dial(0)
			eventually(t, "the connection to be taken", func() bool { return r.slot.Accepted.Load() == 1 })
			test.does(r, c)
			e := r.entries(1)[0]
			if e.Outcome != test.outcome || !strings.Contains(e.Error, test.says) || (test.says == "") != (e.Error == "") {
				t.Errorf("outcome %q, error %q; want %q, %q", e.Outcome, e.Error, test.outcome, test.says)
			}
		})
	}
}

func TestEventARefusedConnectionIsARecord(t *testing.T) {
	hooks := Hooks{VerifyRequest: func(*Conn) bool { return false }}
	r := logging(t, Config{Mode: Event}, Options{EventHandler: echoEvents(), Hooks: hooks})
	expectEOF(t, r.dial(0))
	if e := r.entries(1)[0]; e.Outcome != "rejected" {
		t.Errorf("outcome %q", e.Outcome)
	}
	r.hasActive(0)
}

// The status shows what waits for an answer, also while another goroutine makes it.
func TestEventTheOldestRequestIsShown(t *testing.T) {
	conns := make(chan *Conn, 1)
	h := &eventFuncs{data: func(c *Conn, in []byte, _ bool) (int, error) {
		c.Doing("GET /report")
		conns <- c
		return len(in), nil
	}}
	r := accepting(t, Config{Mode: Event}, Options{EventHandler: h})
	client := r.dial(0)
	begin := ipc.Now()
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	c := within(t, "the request", conns)
	eventually(t, "the request in the status", func() bool { return r.slot.DoingSince.Load() >= begin })
	if got, want := r.slot.Doing.Load(), client.LocalAddr().String()+" GET /report"; got != want {
		t.Errorf("doing %q, want %q", got, want)
	}
	c.Wake(func(c *Conn) { _, _ = c.Write([]byte("done")) })
	expect(t, client, "done")
	eventually(t, "the status to forget it", func() bool { return r.slot.DoingSince.Load() == 0 })
	if n := r.slot.Latency.Count(); n != 1 {
		t.Errorf("%d answers in the histogram, want 1", n)
	}
}
