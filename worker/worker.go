package worker

import (
	"context"
	"fmt"
	"os"
	"slices"

	"go.uber.org/zap"

	"prefork/internal/logs"
	"prefork/ipc"
)

// worker is what the parts of a worker share. Its fields do not change after the
// loop has started.
type worker struct {
	cfg   Config
	opt   Options
	log   *zap.Logger
	level zap.AtomicLevel

	failures logs.Limit // of log lines that clients cause

	channel link            // nil without a master
	raw     *ipc.RawChannel // channel, in a zygote and in a forked worker
	board   *ipc.Scoreboard // nil without a master
	crash   *os.File        // nil without a master
	slot    *ipc.Slot       // shared with the master, if there is one
	peer    *ipc.Peer       // shared with the siblings, if there are any
	index   int             // of peer on board

	generation int // 0 without a master

	inbox   inbox
	table   *connTable
	service *serviceListener // nil without a Service

	accessFile accessFile // opened by receive
	short      bool       // of descriptors, when receive last got an order that has one: logged once, because the master repeats it

	ctx    context.Context // of the handlers
	cancel context.CancelCauseFunc

	started bool // WorkerStart has not failed

	// once ends the loop after one connection: mode forking and HandleRequest.
	once bool

	// crashCopy is the descriptor that a zygote's runtime has of its crash file, or -1.
	crashCopy int

	// forks says that the process is a zygote, and forked that it is a zygote's child.
	forks, forked bool

	// exits says that the process serves one connection and is the worker's own: what
	// the kernel frees at its end stays open.
	exits bool
}

// link is the worker's end of the channel.
type link interface {
	Send(m ipc.Message, fds ...int) error
	Receive() (ipc.Message, []int, error)
	Close() error
}

// prepare makes what is missing when configuration, options, log and slot are set, and
// starts the program.
func (w *worker) prepare(ctx context.Context) error {
	if err := w.prepareTable(); err != nil {
		return err
	}
	return w.prepareProgram(ctx)
}

// prepareTable makes what only this process has.
func (w *worker) prepareTable() error {
	if w.inbox.wake == nil {
		wake, err := newWakeup()
		if err != nil {
			return err
		}
		w.inbox.wake = wake
	}
	w.table = newConnTable(w.cfg, w.slot, w.peer, w.inbox.wake)
	w.table.access = newAccessLog(w)
	if s, ok := w.opt.Service.(AccessLogger); ok && w.table.access != nil {
		if err := catchPanic(func() error { s.HandleAccessLog(w.table.access); return nil }); err != nil {
			return err
		}
	}
	return nil
}

// prepareProgram makes the context of the handlers and starts the program.
func (w *worker) prepareProgram(ctx context.Context) error {
	// Without ctx's cancellation: the end of ctx begins a drain.
	w.ctx, w.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if err := w.startProgram(ctx); err != nil {
		w.stopProgram()
		return fmt.Errorf("start worker: %w", err)
	}
	return nil
}

// configure checks cfg, fills in the defaults and calls the program's Configure.
func configure(cfg Config, opt Options) (Config, Options, error) {
	idle := cfg.IdleTimeout
	cfg = cfg.WithDefaults()
	if opt.Configure != nil {
		err := catchPanic(func() error { return opt.Configure(cfg.Settings, &opt) })
		if err != nil {
			return cfg, opt, fmt.Errorf("configure program: %w", err)
		}
	}
	if cfg.Mode == Event { // of several programs the mode decides
		opt.Handler, opt.NewHandler, opt.Service = nil, nil, nil
	}
	if opt.Service != nil && idle == 0 {
		cfg.IdleTimeout = Disabled // a Service has its own
	}
	if !slices.Contains([]Mode{Sequential, Threading, Forking, Event}, cfg.Mode) {
		return cfg, opt, fmt.Errorf("mode: %q is unknown", cfg.Mode)
	}
	return cfg, opt, opt.Check(cfg)
}

// The loop's orders, beside those of the master, which are ipc.Messages.
type (
	masterGone   struct{}            // EOF on the channel
	terminated   struct{}            // SIGTERM, or the end of Run's context
	serviceEnded struct{ err error } // Service.Serve has returned
	drainEnded   struct{ err error } // Service.Drain has returned
)
