package worker

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// Hooks are the program's functions beside its Handler or Service. nil is off.
//
// In mode Forking a process serves one connection, so WorkerStart and WorkerStop
// are called for each: WorkerStart before the process is a spare that can take
// one, so that no client waits for it, and WorkerStop when that one has ended. If the
// workers are forked, both are called once, in the process that forks them, and so are
// Configure and BaseContext; AfterFork is called in each worker.
type Hooks struct {
	// WorkerStart is called once in each worker, after Configure and before the
	// worker is ready: it opens what the worker's connections share, such as a
	// pool. The start timeout bounds it. ctx ends after the last connection, at
	// the drain's deadline at the latest.
	//
	// An error fails the start of the worker, as one of Configure does. The
	// master may try again, unless it is an *ExitError with the Code ExitConfig.
	WorkerStart func(ctx context.Context, w WorkerInfo) error

	// WorkerStop is called once, if WorkerStart has not failed: after the last
	// connection and before the process exits, also when the server stops at
	// once. ctx ends after a second, and then the worker exits without waiting
	// any longer. Handlers whose connections were cut, by a stop or at the
	// drain's deadline, may still run. The process that forks workers calls it when
	// no more are needed: those that it has forked may still serve.
	WorkerStop func(ctx context.Context)

	// BaseContext is called after WorkerStart. The contexts of the connections
	// are derived from what it returns; without it they have the values of Run's.
	BaseContext func(w WorkerInfo) context.Context

	// AfterFork is called in each forked worker, before it is ready, and never in an
	// executed one. It replaces what the worker must not share with its siblings, such as
	// a connection to a database that WorkerStart has opened, or a seed (RandomSeed). The
	// start timeout bounds it. Goroutines that it starts run when the loop has nothing
	// else to do, and some only when the worker serves: finish here what a handler needs.
	// An error fails the start of the worker, as one of WorkerStart does.
	AfterFork func(w WorkerInfo) error

	// ConnContext returns the context for the handler of c, derived from ctx.
	ConnContext func(ctx context.Context, c *Conn) context.Context

	// VerifyRequest decides whether a connection is served (verify_request). It
	// must not block: the accept loop waits for it.
	VerifyRequest func(c *Conn) bool

	// ProcessRequest runs a verified connection (process_request). serve must be
	// called exactly once, from any goroutine; it returns when the connection
	// is closed. Without this hook the mode decides where serve runs.
	ProcessRequest func(c *Conn, serve func())

	// HandleError is called for each connection whose handler failed
	// (handle_error). A panic arrives as *PanicError. Without this hook the
	// worker logs the error.
	HandleError func(ctx context.Context, c *Conn, err error)

	// HandleTimeout is called when no connection came for Config.Timeout
	// (handle_timeout). It must not block.
	HandleTimeout func()

	// ServiceActions is called once a poll tick (service_actions). It must not
	// block.
	ServiceActions func()

	// HandleLameDuck is called as LameDucker describes.
	HandleLameDuck func()
}

// WorkerInfo describes a worker to its hooks. A worker without a master has
// slot 0 and generation 0.
type WorkerInfo struct {
	Slot       int // its place in the pool; no other living worker has the same; -1 in a process that forks workers
	Generation int // of the configuration: 1, and one more after each reload
	Mode       Mode

	MaxConnections int // that the worker serves at once: 1 in the modes Sequential and Forking
}

func (w *worker) info() WorkerInfo {
	return WorkerInfo{Slot: w.index, Generation: w.generation, Mode: w.cfg.Mode, MaxConnections: w.cfg.MaxConnections}
}

// startProgram calls the hooks that come before Ready. ctx ends WorkerStart.
func (w *worker) startProgram(ctx context.Context) error {
	info := w.info()
	h := &w.opt.Hooks
	return catchPanic(func() error {
		if h.WorkerStart != nil {
			life, end := context.WithCancelCause(w.ctx)
			keep := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
			err := h.WorkerStart(life, info)
			keep()
			if err != nil {
				end(err)
				return err
			}
		}
		w.started = true
		if h.BaseContext != nil {
			base, cancel := context.WithCancelCause(h.BaseContext(info))
			life := w.cancel
			w.ctx, w.cancel = base, func(cause error) { cancel(cause); life(cause) }
		}
		return nil
	})
}

// workerStopTime bounds WorkerStop. A master kills a worker that has not exited
// two seconds after a stop, or after it said that it has drained.
const workerStopTime = time.Second

// stopProgram ends what startProgram has started. It is called when the loop
// has ended, or the start has failed.
func (w *worker) stopProgram() {
	w.cancel(ErrStopped) // of no effect after a drain: no handler is left
	if !w.started || w.opt.Hooks.WorkerStop == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), workerStopTime)
	defer cancel()
	stopped := make(chan error, 1)
	go func() {
		err := ErrGoexit
		defer func() { stopped <- err }()
		err = catchPanic(func() error { w.opt.Hooks.WorkerStop(ctx); return nil })
	}()
	var err error
	select {
	case err = <-stopped:
	case <-ctx.Done():
		err = fmt.Errorf("not done within %v", workerStopTime)
	}
	if err != nil {
		w.logFailure("hook failed", err, zap.String("event", "worker stop"))
	}
}
