package worker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func serveAlone(t *testing.T, cfg Config, o Options) (addr string, a *Alone) {
	t.Helper()
	fd, addr := listen(t, "127.0.0.1:0")
	a, err := ServeAlone(cfg, o, []Listener{{Name: "one", FD: fd}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Stop()
		within(t, "the end", a.Done())
		_ = unix.Close(fd)
	})
	return addr, a
}

func TestAloneServesConnectionsSideBySide(t *testing.T) {
	addr, _ := serveAlone(t, Config{}, Options{Handler: echo})
	first, second := dial(t, addr), dial(t, addr)
	ask(t, first, "a", "a")
	ask(t, second, "b", "b")
	ask(t, first, "c", "c")
}

func TestAloneDrainsItsQueue(t *testing.T) {
	addr, a := serveAlone(t, Config{MaxConnections: 1}, Options{Handler: echo})
	first, second := dial(t, addr), dial(t, addr)
	ask(t, first, "a", "a")
	a.Drain()
	eventually(t, "the drain", func() bool { return a.loop.table.drainStartedAt.Load() != 0 })
	_ = first.Close()
	ask(t, second, "b", "b") // it was queued when the drain began
	_ = second.Close()
	within(t, "the end", a.Done())
	if err := a.Err(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestDrainOfAloneCallsHandleLameDuck(t *testing.T) {
	lame := make(chan struct{})
	_, a := serveAlone(t, Config{}, Options{Handler: echo, Hooks: Hooks{HandleLameDuck: func() { close(lame) }}})
	a.Drain()
	within(t, "HandleLameDuck", lame)
	within(t, "the end", a.Done())
}

func TestAloneStopsAtOnce(t *testing.T) {
	ended := make(chan error, 1)
	addr, a := serveAlone(t, Config{DrainTimeout: time.Hour, DrainIdle: time.Hour}, Options{
		Handler: HandlerFunc(func(ctx context.Context, c *Conn) error {
			_, err := c.Read(make([]byte, 1))
			ended <- context.Cause(ctx)
			return err
		}),
	})
	dial(t, addr)
	eventually(t, "the connection", func() bool { return a.loop.table.active() == 1 })
	a.Drain()
	a.Stop()
	within(t, "the end", a.Done())
	if err := a.Err(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if cause := within(t, "the handler's end", ended); !errors.Is(cause, ErrDrainDeadline) {
		t.Errorf("the handler's context ended with %v", cause)
	}
}

func TestAloneReportsThatHandlersStillRun(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	addr, a := serveAlone(t, Config{}, Options{
		Handler: HandlerFunc(func(context.Context, *Conn) error { <-hold; return nil }),
	})
	dial(t, addr)
	eventually(t, "the connection", func() bool { return a.loop.table.active() == 1 })
	a.Stop()
	within(t, "the end", a.Done())
	if err := a.Err(); err == nil || !strings.Contains(err.Error(), "handlers of 1 connections still run") {
		t.Errorf("ended with %v", err)
	}
}

func TestAloneDrainsAService(t *testing.T) {
	h := newHand()
	addr, a := serveAlone(t, Config{}, Options{Service: h})
	first, second := dial(t, addr), dial(t, addr)
	_, _ = within(t, "a connection", h.conns), within(t, "another", h.conns)
	a.Drain()
	within(t, "the Service's Drain", h.drained)
	_, _ = first.Close(), second.Close()
	a.Stop() // the Service does not close its connection
	close(h.hold)
	within(t, "the end", a.Done())
}

func TestAloneRefusesWhatItCannotServe(t *testing.T) {
	fd, _ := listen(t, "127.0.0.1:0")
	defer unix.Close(fd)
	for name, cfg := range map[string]Config{"forking": {Mode: Forking}, "no mode": {Mode: "x"}} {
		_, err := ServeAlone(cfg, Options{Handler: echo}, []Listener{{"x", fd}})
		if exit := new(ExitError); !errors.As(err, &exit) || exit.Code != ExitConfig {
			t.Errorf("%s: %v", name, err)
		}
	}
}
