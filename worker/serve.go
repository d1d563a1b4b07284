package worker

import (
	"context"
	"errors"
	"io"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// catchPanic calls f and returns its error, or its panic as *PanicError. It does not
// catch runtime.Goexit.
func catchPanic(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

// callHook calls a hook, if there is one, on the loop's goroutine and logs its panic.
// runtime.Goexit in a hook ends the worker.
func (w *worker) callHook(hook string, f func()) {
	if f == nil {
		return
	}
	if err := catchPanic(func() error { f(); return nil }); err != nil {
		w.logClientFailure("hook failed", err, zap.String("event", hook))
	}
}

// verify is verify_request. A panic refuses the connection.
func (w *worker) verify(c *Conn) bool {
	verify := w.opt.Hooks.VerifyRequest
	if verify == nil {
		return true
	}
	ok := false
	if e := w.table.events; e != nil { // the hook may write
		e.enter(c)
		defer e.current.Store(nil)
	}
	w.callHook("verify", func() { ok = verify(c) })
	return ok
}

// process lets the Service, the hook or the handler serve a verified connection. It
// does not block.
func (w *worker) process(c *Conn) {
	switch {
	case w.table.events != nil:
		w.table.events.open(c)
	case w.service != nil:
		w.service.push(c)
	case w.opt.Hooks.ProcessRequest != nil:
		go w.processRequest(c)
	default:
		go w.serve(c)
	}
}

// processRequest is process_request: the hook decides where serve runs. If the hook
// fails and has not called serve, the connection ends here.
func (w *worker) processRequest(c *Conn) {
	var begun atomic.Bool
	err := ErrGoexit
	defer func() {
		if err != nil && begun.CompareAndSwap(false, true) {
			w.conclude(w.ctx, c, err)
		} else if err != nil {
			w.logClientFailure("hook failed", err, zap.String("event", "process"))
		}
	}()
	err = catchPanic(func() error {
		w.opt.Hooks.ProcessRequest(c, func() {
			if begun.CompareAndSwap(false, true) {
				w.serve(c)
			}
		})
		return nil
	})
}

// serve is finish_request and shutdown_request. conclude is deferred, so that it runs
// after runtime.Goexit, too.
func (w *worker) serve(c *Conn) {
	ctx := w.ctx
	if limit := w.cfg.HandlerTimeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	err := ErrGoexit
	defer func() { w.conclude(ctx, c, err) }()
	h := w.opt.Handler
	err = catchPanic(func() error {
		if f := w.opt.Hooks.ConnContext; f != nil {
			ctx = f(ctx, c)
		}
		if h == nil {
			h = w.opt.NewHandler()
		}
		return nil
	})
	if err != nil {
		return
	}
	w.finishRequest(ctx, h, c, &err)
}

// finishRequest calls the handler's three methods. *errp is ErrGoexit while one of
// them runs, and stays so if it calls runtime.Goexit.
func (w *worker) finishRequest(ctx context.Context, h Handler, c *Conn, errp *error) {
	*errp = ErrGoexit
	if *errp = catchPanic(func() error { return h.Setup(ctx, c) }); *errp != nil {
		return
	}
	defer func() {
		handled := *errp
		*errp = ErrGoexit
		finished := catchPanic(func() error { return h.Finish(ctx, c) })
		switch {
		case isClean(handled):
			*errp = finished
		case isClean(finished):
			*errp = handled
		default:
			*errp = errors.Join(handled, finished)
		}
	}()
	*errp = ErrGoexit
	*errp = catchPanic(func() error { return h.Handle(ctx, c) })
}

// isClean says that a handler ended without an error, or because the client closed.
func isClean(err error) bool { return err == nil || errors.Is(err, io.EOF) }

// conclude reports a failure, closes the connection and counts it.
func (w *worker) conclude(ctx context.Context, c *Conn, err error) {
	failed := !isClean(err)
	// Deferred, because the hook may call runtime.Goexit.
	defer func() {
		linger := w.shutdown(c, failed)
		w.table.countEnd(c, failed)
		w.recordHandled(c, err)
		w.table.remove(c)
		if linger {
			go w.linger(c)
		}
	}()
	if failed {
		w.handleError(ctx, c, err)
	}
}

// handleError is handle_error.
func (w *worker) handleError(ctx context.Context, c *Conn, err error) {
	failed := w.opt.Hooks.HandleError
	if failed == nil {
		w.logClientFailure("connection failed", err,
			zap.String("listener", c.listener.name), zap.Stringer("remote", c.RemoteAddr()))
		return
	}
	herr := catchPanic(func() error { failed(ctx, c, err); return nil })
	if herr != nil {
		w.logClientFailure("hook failed", errors.Join(herr, err), zap.String("event", "error"))
	}
}

// logClientFailure is logFailure for failures that clients can cause. It limits the
// lines per second; the loop logs how many were suppressed.
func (w *worker) logClientFailure(message string, err error, fields ...zap.Field) {
	switch {
	case isPeerError(err): // only in the level debug
	case w.slot.Quiet.Load() != 0: // mode forking: the master limits all workers together
		w.slot.Unsaid.Add(1)
		return
	case !w.failures.Allow(time.Now()):
		return
	}
	w.logFailure(message, err, fields...)
}

// logSuppressed logs how many failures were not logged.
func (w *worker) logSuppressed() {
	if n := w.failures.Unsaid(); n > 0 {
		w.log.Warn("failures not logged", zap.Int("count", n))
	}
}

// logFailure logs a panic as an error, what clients do every day in the level debug,
// and everything else as a warning.
func (w *worker) logFailure(message string, err error, fields ...zap.Field) {
	level := zapcore.WarnLevel
	if panicked, ok := errors.AsType[*PanicError](err); ok {
		level = zapcore.ErrorLevel
		fields = append(fields, zap.ByteString("stack", panicked.Stack))
	} else if isPeerError(err) {
		level = zapcore.DebugLevel
	}
	w.log.Log(level, message, append(fields, zap.Error(err))...)
}

// isPeerError says that clients cause err every day: a reset or a timeout.
func isPeerError(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || timedOut(err)
}
