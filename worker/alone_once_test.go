package worker

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func oneShot(t *testing.T, ctx context.Context, cfg Config, o Options) (addr string, result chan error) {
	t.Helper()
	fd, addr := listen(t, "127.0.0.1:0")
	result = make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		result <- HandleRequest(ctx, cfg, o, []Listener{{Name: "one", FD: fd}})
	}()
	t.Cleanup(func() {
		<-done
		// The caller's listener is still open.
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			t.Errorf("HandleRequest closed its caller's listener: %v", err)
		}
		_ = unix.Close(fd)
	})
	return addr, result
}

func TestHandleRequestServesExactlyOne(t *testing.T) {
	for _, mode := range []Mode{Sequential, Threading, Forking} {
		addr, result := oneShot(t, context.Background(), Config{Mode: mode}, Options{Handler: echo})
		first, second := dial(t, addr), dial(t, addr)
		ask(t, first, "a", "a")
		_ = first.Close()
		if err := within(t, "the return", result); err != nil {
			t.Fatal(err)
		}
		_ = second
	}
}

func TestHandleRequestReturnsNilWhateverBecameOfTheRequest(t *testing.T) {
	d := &diary{verify: true, body: func(context.Context, *Conn) error { panic("no") }}
	addr, result := oneShot(t, context.Background(), Config{}, Options{Handler: d, Hooks: d.hooks()})
	expectEOF(t, dial(t, addr))
	if err := within(t, "the return", result); err != nil {
		t.Fatal(err)
	}
	d.has(t, "verify", "setup", "handle", "finish", "error: panic: no")

	d = &diary{verify: false}
	addr, result = oneShot(t, context.Background(), Config{}, Options{Handler: d, Hooks: d.hooks()})
	expectEOF(t, dial(t, addr))
	if err := within(t, "the return", result); err != nil {
		t.Fatal(err)
	}
}

func TestHandleRequestGivesUpAfterTimeout(t *testing.T) {
	timeouts := make(chan struct{}, 2)
	_, result := oneShot(t, context.Background(), Config{Timeout: 10 * time.Millisecond}, Options{Handler: echo, Hooks: Hooks{
		HandleTimeout: func() { notify(timeouts) },
	}})
	if err := within(t, "the return", result); err != nil {
		t.Fatal(err)
	}
	if n := len(timeouts); n != 1 {
		t.Errorf("handle_timeout was called %d times, want once", n)
	}
}

func TestHandleRequestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	_, result := oneShot(t, ctx, Config{}, Options{Handler: echo})
	cancel()
	if err := within(t, "the return", result); !errors.Is(err, context.Canceled) {
		t.Fatalf("returned %v, want context.Canceled", err)
	}
}

func TestHandleRequestServesThroughAService(t *testing.T) {
	h := newHand()
	addr, result := oneShot(t, context.Background(), Config{}, Options{Service: h})
	dial(t, addr)
	c := within(t, "the connection", h.conns)
	within(t, "the end of Accept", h.refused)
	close(h.hold)
	_ = c.Close()
	if err := within(t, "the return", result); err != nil {
		t.Fatal(err)
	}
}

func TestHandleRequestRefusesWhatIsNoListener(t *testing.T) {
	fd, _ := listen(t, "127.0.0.1:0")
	defer unix.Close(fd)
	blocking := dup(t, fd)
	defer unix.Close(blocking)
	for name, ls := range map[string][]Listener{
		"none":      nil,
		"closed":    {{"x", 9999}},
		"no socket": {{"x", 0}},
	} {
		if err := HandleRequest(context.Background(), Config{}, Options{Handler: echo}, ls); err == nil {
			t.Errorf("%s: served", name)
		}
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	if err := HandleRequest(context.Background(), Config{}, Options{Handler: echo}, []Listener{{"x", fd}}); err == nil {
		t.Error("served from a blocking descriptor")
	}
	if err := HandleRequest(context.Background(), Config{Mode: "x"}, Options{}, nil); err == nil {
		t.Error("served with a bad configuration")
	}
}
