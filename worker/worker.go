package worker

import (
	"context"
	"fmt"
	"os"

	"go.uber.org/zap"

	"prefork/internal/logs"
	"prefork/ipc"
)

// worker is what the parts of one running worker share. Its fields are set
// before the loop starts and do not change.
type worker struct {
	cfg   Config
	opt   Options
	log   *zap.Logger
	level zap.AtomicLevel

	failures logs.Limit // of what clients cause

	channel *ipc.Channel    // nil without a master
	board   *ipc.Scoreboard // nil without a master
	crash   *os.File        // nil if there is none
	slot    *ipc.Slot       // for the master; a private one without it
	peer    *ipc.Peer       // for the siblings; a private one without a master
	index   int             // of peer on board

	generation int // 0 without a master

	wake    *wakeup
	inbox   inbox
	table   *connTable
	service *serviceListener // nil without a Service

	accessFile accessFile // the channel's reader opens it

	ctx    context.Context // of the handlers
	cancel context.CancelCauseFunc

	started bool // WorkerStart has not failed

	// once ends the loop after one connection: mode forking and HandleRequest.
	once bool
}

// prepare completes a worker whose configuration, options, log and slot are
// set.
func (w *worker) prepare(ctx context.Context) error {
	if w.inbox.wake == nil {
		wake, err := newWakeup()
		if err != nil {
			return err
		}
		w.inbox.wake = wake
	}
	w.wake = w.inbox.wake
	w.table = newConnTable(w.cfg, w.slot, w.peer, w.wake)
	w.table.access = newAccessLog(w)
	if s, ok := w.opt.Service.(AccessLogger); ok && w.table.access != nil {
		if err := catchPanic(func() error { s.HandleAccessLog(w.table.access); return nil }); err != nil {
			return err
		}
	}
	// The handlers end when the worker says so, not when ctx does: that only
	// begins a drain.
	w.ctx, w.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if err := w.startProgram(ctx); err != nil {
		return fmt.Errorf("start worker: %w", err)
	}
	return nil
}

// configure makes the program: defaults, the program's own Configure, and the
// checks of both.
func configure(cfg Config, opt Options) (Config, Options, error) {
	silent := cfg.IdleTimeout
	cfg = cfg.WithDefaults()
	if opt.Configure != nil {
		err := catchPanic(func() error { return opt.Configure(cfg.Settings, &opt) })
		if err != nil {
			return cfg, opt, fmt.Errorf("configure program: %w", err)
		}
	}
	if opt.Service != nil && silent == 0 {
		cfg.IdleTimeout = -1 // it knows better which silence is none
	}
	return cfg, opt, opt.check(cfg)
}

// The loop's orders. What comes over the channel stands for itself, as the
// ipc.Message it is.
type (
	masterGone   struct{}            // EOF on the channel
	terminated   struct{}            // SIGTERM, or the end of Run's context; see terminate
	serviceEnded struct{ err error } // Service.Serve has returned
	drainEnded   struct{ err error } // Service.Drain has returned
)
