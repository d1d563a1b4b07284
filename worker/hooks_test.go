package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"prefork/ipc"
)

type ctxKey string

// pool is a resource that a program opens in WorkerStart. Its diary records the
// order of calls.
type pool struct {
	diary
	hooks Hooks
	life  context.Context // of WorkerStart
	info  WorkerInfo
}

func newPool() *pool {
	p := &pool{}
	p.hooks = Hooks{
		WorkerStart: func(ctx context.Context, w WorkerInfo) error {
			p.note("start")
			p.life, p.info = ctx, w
			return nil
		},
		WorkerStop: func(ctx context.Context) {
			if _, ok := ctx.Deadline(); !ok || ctx.Err() != nil || p.life.Err() == nil {
				p.note("wrong contexts")
			}
			p.note("stop")
		},
	}
	return p
}

// ended returns a Handler that records the end of its connection.
func (p *pool) ended() Handler {
	return HandlerFunc(func(_ context.Context, c *Conn) error {
		defer p.note("ended")
		_, err := c.Read(make([]byte, 1))
		return err
	})
}

func TestWorkerStartComesBeforeReadyAndWorkerStopAfterTheLastConnection(t *testing.T) {
	for mode, most := range map[Mode]int{Threading: 5, Forking: 1} {
		p := newPool()
		begun, release := make(chan struct{}), make(chan struct{})
		start := p.hooks.WorkerStart
		p.hooks.WorkerStart = func(ctx context.Context, w WorkerInfo) error {
			close(begun)
			<-release
			return start(ctx, w)
		}
		r := launch(t, Config{Mode: mode, MaxConnections: 5}, Options{Handler: p.ended(), Hooks: p.hooks})
		<-begun
		if got[*ipc.Ready](r) != nil {
			t.Error("ready before WorkerStart has returned")
		}
		close(release)
		eventually(t, "ready", func() bool { return got[*ipc.Ready](r) != nil })
		r.send(&ipc.Resume{})
		c := r.dial(0)
		r.hasActive(1)
		r.send(&ipc.Drain{TimeoutMS: long})
		_ = c.Close()
		r.drained()
		p.has(t, "start", "ended", "stop")
		if want := (WorkerInfo{Slot: 1, Generation: 3, Mode: mode, MaxConnections: most}); p.info != want {
			t.Errorf("described as %+v, want %+v", p.info, want)
		}
	}
}

func TestWorkerStopIsCalledInAStop(t *testing.T) {
	p := newPool()
	r := accepting(t, Config{}, Options{Handler: echo, Hooks: p.hooks})
	r.send(&ipc.Stop{})
	if err := r.wait(); err != nil {
		t.Fatal(err)
	}
	p.has(t, "start", "stop")
}

func TestServiceHasAWorkerStartAndStop(t *testing.T) {
	p := newPool()
	web := newWeb(nil)
	r := accepting(t, Config{}, Options{Service: web, Hooks: p.hooks})
	r.send(&ipc.Drain{TimeoutMS: long})
	r.drained()
	p.has(t, "start", "stop")
}

func TestServingInThisProcessHasAWorkerStartAndStop(t *testing.T) {
	p := newPool()
	_, a := serveAlone(t, Config{}, Options{Handler: echo, Hooks: p.hooks})
	a.Drain()
	within(t, "the end", a.Done())
	p.has(t, "start", "stop")

	for range 2 {
		p := newPool()
		addr, result := oneShot(t, context.Background(), Config{}, Options{Handler: p.ended(), Hooks: p.hooks})
		_ = dial(t, addr).Close()
		if err := within(t, "the return", result); err != nil {
			t.Fatal(err)
		}
		p.has(t, "start", "ended", "stop") // before it returns
	}
}

func TestErrorOfWorkerStartFailsTheStart(t *testing.T) {
	for cause, code := range map[error]int{
		errors.New("no database"): ExitFailure,
		fmt.Errorf("connect: %w", &ExitError{ExitConfig, errors.New("no database")}): ExitConfig,
	} {
		p := newPool()
		p.hooks.WorkerStart = func(context.Context, WorkerInfo) error { return cause }
		m, err := failed(t, Config{}, Options{Handler: echo, Hooks: p.hooks})
		if exit := new(ExitError); !errors.As(err, &exit) || exit.Code != code || m.Code != code {
			t.Errorf("message %+v, error %#v; want code %d", m, err, code)
		}
		if !strings.Contains(m.Message, "start worker: ") || !strings.Contains(m.Message, "no database") {
			t.Errorf("message %q", m.Message)
		}
		p.has(t) // nothing to stop
	}
}

func TestPanicInWorkerStartFailsTheStart(t *testing.T) {
	for name, hooks := range map[string]Hooks{
		"start": {WorkerStart: func(context.Context, WorkerInfo) error { panic("dear me") }},
		"base":  {BaseContext: func(WorkerInfo) context.Context { panic("dear me") }},
	} {
		stops := 0
		hooks.WorkerStop = func(context.Context) { stops++ }
		m, _ := failed(t, Config{}, Options{Handler: echo, Hooks: hooks})
		if m.Code != ExitFailure || !strings.Contains(m.Message, "dear me") {
			t.Errorf("%s: %+v", name, m)
		}
		if want := map[string]int{"start": 0, "base": 1}[name]; stops != want {
			t.Errorf("%s: WorkerStop was called %d times, want %d", name, stops, want)
		}
	}
}

func TestWorkerStopThatHangsIsNotAwaitedForEver(t *testing.T) {
	hold := make(chan struct{})
	r := accepting(t, Config{}, Options{Handler: echo, Hooks: Hooks{WorkerStop: func(context.Context) { <-hold }}})
	r.send(&ipc.Stop{})
	if err := r.wait(); err != nil {
		t.Fatal(err)
	}
	r.logged("hook failed")
	close(hold)
}

func TestPanicInWorkerStopIsLogged(t *testing.T) {
	r := accepting(t, Config{}, Options{Handler: echo, Hooks: Hooks{WorkerStop: func(context.Context) { panic("dear me") }}})
	r.send(&ipc.Stop{})
	if err := r.wait(); err != nil {
		t.Fatal(err)
	}
	r.logged("hook failed")
}

func TestContextsComeFromTheHooks(t *testing.T) {
	heard := make(chan context.Context, 1)
	base, cut := context.WithCancelCause(context.WithValue(context.Background(), ctxKey("base"), "b"))
	r := accepting(t, Config{}, Options{
		Handler: HandlerFunc(func(ctx context.Context, c *Conn) error {
			heard <- ctx
			<-ctx.Done()
			return nil
		}),
		Hooks: Hooks{
			BaseContext: func(w WorkerInfo) context.Context { return context.WithValue(base, ctxKey("slot"), w.Slot) },
			ConnContext: func(ctx context.Context, c *Conn) context.Context {
				return context.WithValue(ctx, ctxKey("remote"), c.RemoteAddr().String())
			},
		},
	})
	first := r.dial(0)
	ctx := within(t, "the handler's context", heard)
	for key, want := range map[ctxKey]any{"base": "b", "slot": 1, "remote": first.LocalAddr().String()} {
		if got := ctx.Value(key); got != want {
			t.Errorf("%s is %v in the handler's context, want %v", key, got, want)
		}
	}
	r.send(&ipc.Drain{TimeoutMS: 1}) // which ends it like any other worker
	expectEOF(t, first)
	if cause := context.Cause(ctx); !errors.Is(cause, ErrDrainDeadline) {
		t.Errorf("the handler's context ended with %v", cause)
	}
	_ = r.wait()

	r = accepting(t, Config{}, Options{
		Handler: HandlerFunc(func(ctx context.Context, c *Conn) error { <-ctx.Done(); return nil }),
		Hooks:   Hooks{BaseContext: func(WorkerInfo) context.Context { return base }},
	})
	c := r.dial(0)
	r.hasActive(1)
	cut(errors.New("the program's reason"))
	expectEOF(t, c)
}

func TestServiceRefusesHooksThatAreNeverCalled(t *testing.T) {
	for name, hooks := range map[string]Hooks{
		"BaseContext":    {BaseContext: func(WorkerInfo) context.Context { return nil }},
		"ConnContext":    {ConnContext: func(ctx context.Context, _ *Conn) context.Context { return ctx }},
		"ProcessRequest": {ProcessRequest: func(*Conn, func()) {}},
		"HandleError":    {HandleError: func(context.Context, *Conn, error) {}},
	} {
		m, _ := failed(t, Config{}, Options{Service: new(closedService), Hooks: hooks})
		if m.Code != ExitConfig || !strings.Contains(m.Message, name) {
			t.Errorf("%s: %+v", name, m)
		}
	}
}
