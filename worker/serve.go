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

// catchPanic calls f and returns its error, or its panic as *PanicError. A
// runtime.Goexit in f passes through: only deferred calls see it.
func catchPanic(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

// callHook calls a hook, if there is one, on the loop's own goroutine and logs its
// panic. A runtime.Goexit there would end the loop and so the worker; the master
// would see it, and that is the most that can be done for a program that does so.
func (w *worker) callHook(hook string, f func()) {
	if f == nil {
		return
	}
	if err := catchPanic(func() error { f(); return nil }); err != nil {
		w.logClientFailure("hook failed", err, zap.String("event", hook))
	}
}

// verify asks verify_request. A panic is a no.
func (w *worker) verify(c *Conn) bool {
	verify := w.opt.Hooks.VerifyRequest
	if verify == nil {
		return true
	}
	ok := false
	w.callHook("verify", func() { ok = verify(c) })
	return ok
}

// process hands a verified connection to whoever serves it. It never blocks.
func (w *worker) process(c *Conn) {
	switch {
	case w.service != nil:
		w.service.push(c)
	case w.opt.Hooks.ProcessRequest != nil:
		go w.processRequest(c)
	default:
		go w.serve(c)
	}
}

// processRequest is process_request: the hook decides where serve runs. If it
// fails before it has called serve, the connection is concluded here.
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

// serve is finish_request and shutdown_request. What must happen in the end is
// deferred, so that it happens after a panic and after runtime.Goexit, too.
func (w *worker) serve(c *Conn) {
	ctx, cancel := w.table.handlerContext(w.ctx)
	defer cancel()
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

// finishRequest runs the handler's three methods. *errp holds ErrGoexit while
// one of them runs, which stands if it does not come back.
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

// isClean says that a handler ended as it should: without an error, or because
// the client had closed.
func isClean(err error) bool { return err == nil || errors.Is(err, io.EOF) }

// conclude reports a failure, closes the connection and counts it.
func (w *worker) conclude(ctx context.Context, c *Conn, err error) {
	failed := !isClean(err)
	// Deferred, because the place must be freed even if the hook exits.
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

// logClientFailure is logFailure for what clients can cause, of which so many lines are
// written in a second. The loop says how many were not.
func (w *worker) logClientFailure(message string, err error, fields ...zap.Field) {
	switch {
	case isPeerError(err): // for the level debug
	case w.slot.Quiet.Load() != 0: // the limit is the master's where a process serves once
		w.slot.Unsaid.Add(1)
		return
	case !w.failures.Allow(time.Now()):
		return
	}
	w.logFailure(message, err, fields...)
}

// logSuppressed says how many failures were not logged.
func (w *worker) logSuppressed() {
	if n := w.failures.Unsaid(); n > 0 {
		w.log.Warn("failures not logged", zap.Int("count", n))
	}
}

// logFailure logs err as heavily as it weighs: a panic needs a person, a
// client that went away does not.
func (w *worker) logFailure(message string, err error, fields ...zap.Field) {
	level := zapcore.WarnLevel
	var panicked *PanicError
	switch {
	case errors.As(err, &panicked):
		level = zapcore.ErrorLevel
		fields = append(fields, zap.ByteString("stack", panicked.Stack))
	case isPeerError(err):
		level = zapcore.DebugLevel
	}
	if entry := w.log.Check(level, message); entry != nil {
		entry.Write(append(fields, zap.Error(err))...)
	}
}

// isPeerError says that err is of the kind that clients cause every day.
func isPeerError(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || timedOut(err)
}
