package worker

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"prefork/ipc"
)

// diary is a program that records the calls of its methods.
type diary struct {
	mu      sync.Mutex
	entries []string

	verify bool // the result of VerifyRequest
	body   func(ctx context.Context, c *Conn) error
	setup  error
	finish func() error
}

func (d *diary) note(s string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, s)
}

func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.entries)
}

func (d *diary) has(t *testing.T, want ...string) {
	t.Helper()
	if !waitFor(func() bool { return slices.Equal(d.read(), want) }) {
		t.Fatalf("hooks ran as %q, want %q", d.read(), want)
	}
}

func (d *diary) Setup(context.Context, *Conn) error { d.note("setup"); return d.setup }

func (d *diary) Handle(ctx context.Context, c *Conn) error {
	d.note("handle")
	if d.body == nil {
		return nil
	}
	return d.body(ctx, c)
}

func (d *diary) Finish(_ context.Context, c *Conn) error {
	d.note("finish")
	if d.finish == nil {
		return nil
	}
	return d.finish()
}
func (d *diary) VerifyRequest(*Conn) bool { d.note("verify"); return d.verify }
func (d *diary) HandleError(_ context.Context, _ *Conn, err error) {
	d.note("error: " + err.Error())
}

// hooks returns its methods as hooks.
func (d *diary) hooks() Hooks {
	return Hooks{VerifyRequest: d.VerifyRequest, HandleError: d.HandleError}
}

func TestHooksRunInSocketserversOrder(t *testing.T) {
	d := &diary{verify: true}
	hooks := d.hooks()
	hooks.ProcessRequest = func(_ *Conn, serve func()) {
		d.note("process")
		serve()
		serve() // the second call must do nothing
	}
	r := accepting(t, Config{}, Options{NewHandler: func() Handler { d.note("new"); return d }, Hooks: hooks})
	expectEOF(t, r.dial(0))
	d.has(t, "verify", "process", "new", "setup", "handle", "finish")
	r.hasActive(0)
	if n := r.slot.Handled.Load(); n != 1 {
		t.Errorf("handled %d, want 1", n)
	}
}

func TestMethodsOfTheSharedHandlerMayBeHooks(t *testing.T) {
	d := &diary{verify: true}
	r := accepting(t, Config{}, Options{Handler: d, Hooks: d.hooks()})
	expectEOF(t, r.dial(0))
	d.has(t, "verify", "setup", "handle", "finish")
}

func TestRejectedConnectionIsClosedAndCounted(t *testing.T) {
	d := &diary{verify: false}
	r := accepting(t, Config{}, Options{Handler: d, Hooks: d.hooks()})
	expectEOF(t, r.dial(0))
	d.has(t, "verify")
	r.hasActive(0)
	if a, n := r.slot.Accepted.Load(), r.slot.Rejected.Load(); a != 1 || n != 1 {
		t.Errorf("accepted %d, rejected %d, want 1 and 1", a, n)
	}
}

func TestFinishRunsWhateverHandleDoes(t *testing.T) {
	for name, body := range map[string]func(context.Context, *Conn) error{
		"fails":  func(context.Context, *Conn) error { return errors.New("bad day") },
		"panics": func(context.Context, *Conn) error { panic("bad day") },
	} {
		t.Run(name, func(t *testing.T) {
			d := &diary{verify: true, body: body}
			r := accepting(t, Config{}, Options{Handler: d, Hooks: d.hooks()})
			expectEOF(t, r.dial(0))
			want := "error: bad day"
			if name == "panics" {
				want = "error: panic: bad day"
			}
			d.has(t, "verify", "setup", "handle", "finish", want)
			r.hasActive(0)
			if n := r.slot.Failed.Load(); n != 1 {
				t.Errorf("failed %d, want 1", n)
			}
		})
	}
}

// A client that makes the handler fail repeatedly must not fill the disk.
func TestFailuresOfClientsAreLoggedUpToALimit(t *testing.T) {
	for name, body := range map[string]HandlerFunc{
		"fails":  func(context.Context, *Conn) error { return errors.New("bad day") },
		"panics": func(context.Context, *Conn) error { panic("bad day") },
	} {
		t.Run(name, func(t *testing.T) {
			r := accepting(t, Config{}, Options{Handler: body})
			const clients = 200
			for range clients {
				expectEOF(t, r.dial(0))
			}
			r.send(&ipc.Drain{TimeoutMS: patience.Milliseconds()})
			if err := r.wait(); err != nil {
				t.Fatal(err)
			}
			logged, counted := r.logs.FilterMessage("connection failed").Len(), int64(0)
			for _, e := range r.logs.FilterMessage("failures not logged").All() {
				counted += e.ContextMap()["count"].(int64)
			}
			if logged+int(counted) != clients || counted == 0 {
				t.Errorf("%d failures were logged and %d counted, of %d", logged, counted, clients)
			}
		})
	}
}

func TestFinishRunsAfterGoexit(t *testing.T) {
	d := &diary{verify: true, body: func(context.Context, *Conn) error { runtime.Goexit(); return nil }}
	r := accepting(t, Config{}, Options{Handler: d, Hooks: d.hooks()})
	expectEOF(t, r.dial(0))
	d.has(t, "verify", "setup", "handle", "finish", "error: "+ErrGoexit.Error())
}

func TestGoexitInFinishStillFreesThePlace(t *testing.T) {
	d := &diary{verify: true, finish: func() error { runtime.Goexit(); return nil }}
	r := accepting(t, Config{Mode: Sequential}, Options{Handler: d, Hooks: d.hooks()})
	expectEOF(t, r.dial(0))
	expectEOF(t, r.dial(0))
	eventually(t, "both to fail", func() bool { return r.slot.Failed.Load() == 2 })
}

func TestNoFinishWithoutSetup(t *testing.T) {
	d := &diary{verify: true, setup: errors.New("no table free")}
	r := accepting(t, Config{}, Options{Handler: d, Hooks: d.hooks()})
	expectEOF(t, r.dial(0))
	d.has(t, "verify", "setup", "error: no table free")
}

func TestErrorOfFinishIsReported(t *testing.T) {
	d := &diary{verify: true, finish: func() error { return errors.New("not flushed") }}
	r := accepting(t, Config{}, Options{Handler: d, Hooks: d.hooks()})
	expectEOF(t, r.dial(0))
	d.has(t, "verify", "setup", "handle", "finish", "error: not flushed")
}

func TestHandlerThatReturnsEOFHasNotFailed(t *testing.T) {
	d := &diary{verify: true, body: func(context.Context, *Conn) error { return io.EOF }}
	r := accepting(t, Config{}, Options{Handler: d, Hooks: d.hooks()})
	expectEOF(t, r.dial(0))
	d.has(t, "verify", "setup", "handle", "finish")
	eventually(t, "the count", func() bool { return r.slot.Handled.Load() == 1 })
}

// panicking panics in each hook in turn.
type panicking struct {
	BaseHandler
	verify, process, fail bool
}

func (b *panicking) Handle(context.Context, *Conn) error { panic("in handle") }
func (b *panicking) VerifyRequest(*Conn) bool {
	if b.verify {
		panic("in verify")
	}
	return true
}
func (b *panicking) ProcessRequest(_ *Conn, serve func()) {
	if b.process {
		panic("in process")
	}
	serve()
	panic("after serve")
}
func (b *panicking) HandleError(context.Context, *Conn, error) {
	if b.fail {
		panic("in error")
	}
}

func TestPanicInAHookClosesOneConnection(t *testing.T) {
	for _, b := range []*panicking{{}, {verify: true}, {process: true}, {fail: true}} {
		r := accepting(t, Config{Mode: Sequential, Timeout: idleTick}, Options{Handler: b, Hooks: Hooks{
			VerifyRequest: b.VerifyRequest, ProcessRequest: b.ProcessRequest, HandleError: b.HandleError,
			HandleTimeout: func() { panic("in timeout") }, ServiceActions: func() { panic("in actions") },
		}})
		for range 3 {
			expectEOF(t, r.dial(0))
		}
		r.hasActive(0)
		r.logged("hook failed")
		if n := r.slot.Accepted.Load(); n != 3 {
			t.Errorf("%+v: accepted %d, want 3", b, n)
		}
		if n := r.slot.Rejected.Load(); b.verify && n != 3 {
			t.Errorf("rejected %d connections whose verification panicked, want 3", n)
		}
	}
}

func TestPanicDoesNotAffectOtherConnections(t *testing.T) {
	r := accepting(t, Config{}, Options{Handler: HandlerFunc(func(_ context.Context, c *Conn) error {
		var b [1]byte
		for {
			if _, err := c.Read(b[:]); err != nil {
				return err
			}
			if b[0] == '!' {
				panic("asked for")
			}
			if _, err := c.Write(b[:]); err != nil {
				return err
			}
		}
	})})
	other, victim := r.dial(0), r.dial(0)
	ask(t, other, "a", "a")
	if _, err := victim.Write([]byte("!")); err != nil {
		t.Fatal(err)
	}
	expectEOF(t, victim)
	ask(t, other, "b", "b")
	entry := r.logged("connection failed")
	stack, _ := entry.ContextMap()["stack"].(string)
	if !strings.Contains(stack, "serve_test.go") {
		t.Errorf("the log does not show where the panic was:\n%s", stack)
	}
}

func TestPanicErrorContainsThePanicValue(t *testing.T) {
	err := catchPanic(func() error { panic(io.ErrUnexpectedEOF) })
	var p *PanicError
	if !errors.As(err, &p) || p.Value != io.ErrUnexpectedEOF || len(p.Stack) == 0 {
		t.Fatalf("got %#v", err)
	}
	if !strings.Contains(err.Error(), io.ErrUnexpectedEOF.Error()) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %q hides its value", err)
	}
}

func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func TestTimeoutAndServiceActionsRunRepeatedly(t *testing.T) {
	timeouts, actions := make(chan struct{}), make(chan struct{})
	accepting(t, Config{Timeout: 3 * time.Millisecond}, Options{Handler: echo, Hooks: Hooks{
		HandleTimeout:  func() { notify(timeouts) },
		ServiceActions: func() { notify(actions) },
	}})
	for range 3 {
		within(t, "handle_timeout", timeouts)
		within(t, "service_actions", actions)
	}
}

func TestTimeoutNeedsAFreeWorker(t *testing.T) {
	timeouts := make(chan struct{}, 1)
	r := start(t, Config{Timeout: time.Millisecond, Mode: Sequential}, Options{Handler: echo, Hooks: Hooks{
		HandleTimeout: func() { notify(timeouts) },
	}})
	busy := r.dial(0)
	r.send(&ipc.Resume{})
	ask(t, busy, "x", "x")
	notify(timeouts) // the calls before the connection
	<-timeouts
	ticks := r.slot.Beat.Load() + int64(20*time.Millisecond)
	eventually(t, "twenty ticks", func() bool { return r.slot.Beat.Load() > ticks })
	select {
	case <-timeouts:
		t.Fatal("handle_timeout was called while the worker was busy")
	default:
	}
}

func TestAnswerSurvivesUnreadInput(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", t.TempDir() + "/s"} {
		const answer = "line too long\n"
		r := accepting(t, Config{}, Options{Handler: HandlerFunc(func(_ context.Context, c *Conn) error {
			var b [16]byte
			if _, err := io.ReadFull(c, b[:]); err != nil {
				return err
			}
			_, err := c.Write([]byte(answer))
			return err
		})}, address)
		c := r.dial(0)
		if _, err := c.Write(make([]byte, 100<<10)); err != nil {
			t.Fatal(err)
		}
		r.hasActive(0) // a lingering connection is not active
		got, err := io.ReadAll(c)
		if err != nil || string(got) != answer {
			t.Fatalf("%s: client read %q, %v; want %q", address, got, err, answer)
		}
	}
}

func TestCompleteAnswerDoesNotLinger(t *testing.T) {
	r := accepting(t, Config{}, Options{Handler: HandlerFunc(func(_ context.Context, c *Conn) error {
		_, err := c.Write([]byte("bye"))
		return err
	})})
	c := r.dial(0)
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "bye" {
		t.Fatalf("client read %q, %v", got, err)
	}
	r.hasActive(0)
	// The socket is closed although the client has not closed its side, so what
	// the client sends is refused.
	eventually(t, "a reset", func() bool {
		_, err := c.Write([]byte("x"))
		return err != nil
	})
}

func TestRemoteAddressIsTheClients(t *testing.T) {
	seen := make(chan net.Addr, 2)
	r := accepting(t, Config{}, Options{Handler: HandlerFunc(func(_ context.Context, c *Conn) error {
		seen <- c.RemoteAddr()
		seen <- c.LocalAddr()
		return nil
	})}, "127.0.0.1:0")
	c := r.dial(0)
	if remote := within(t, "the address", seen); remote.String() != c.LocalAddr().String() {
		t.Errorf("remote %v, want %v", remote, c.LocalAddr())
	}
	if local := within(t, "the address", seen); local.String() != c.RemoteAddr().String() {
		t.Errorf("local %v, want %v", local, c.RemoteAddr())
	}
}
