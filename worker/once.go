package worker

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"prefork/ipc"
)

// HandleRequest serves one connection in this process, without a master: it is
// socketserver's handle_request. It waits until a connection comes to one of
// ls, serves it and returns, whatever became of it; the hooks are called as in
// a worker. If none came within cfg.Timeout it calls HandleTimeout and returns.
// cfg.Mode does not matter, and there is no access log.
//
// The end of ctx ends the wait, with ctx's error; a connection that is being
// served then has cfg.DrainTimeout to finish. The descriptors in ls stay the
// caller's; they must be non-blocking.
func HandleRequest(ctx context.Context, cfg Config, o Options, ls []Listener) error {
	cfg.AccessLog = false // there is no master to open it
	cfg, o, err := configure(cfg, o)
	if err != nil {
		return configuration(err)
	}
	if len(ls) == 0 {
		return configuration(errors.New("handle request: no listener"))
	}
	listeners := make([]*listener, 0, len(ls))
	for _, l := range ls {
		ln, err := openListener(l.Name, l.FD, true)
		if err != nil {
			return failure(err)
		}
		listeners = append(listeners, ln)
	}
	cfg.MaxConnections = 1
	w := &worker{cfg: cfg, opt: o, slot: new(ipc.Slot), peer: new(ipc.Peer), once: true}
	if w.log, w.level, err = onceLogger(o); err != nil {
		return configuration(err)
	}
	if err := w.prepare(ctx); err != nil {
		return failure(err)
	}
	defer w.cancel(ErrStopped)
	if o.Service != nil {
		w.view = newView(w.table, listeners[0].source.addr)
	}
	l, err := newLoop(w, listeners)
	if err != nil {
		w.wake.close()
		return failure(err)
	}
	l.phase = phaseAccepting
	defer context.AfterFunc(ctx, func() { w.inbox.post(terminated{}) })()
	_, err = w.supervise(l, nil)
	if err == nil && !l.taken {
		err = ctx.Err()
	}
	return err
}

// onceLogger makes the log as a worker would, in its plainest form.
func onceLogger(o Options) (*zap.Logger, zap.AtomicLevel, error) {
	if o.NewLogger == nil {
		return zap.NewNop(), zap.NewAtomicLevel(), nil
	}
	return o.NewLogger("", "")
}
