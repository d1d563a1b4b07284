package worker

import (
	"context"

	"prefork/ipc"
)

// HandleRequest serves one connection in this process, without a master, as
// socketserver's handle_request does. It waits for a connection to one of ls, serves
// it and returns nil, whether the handler failed or not. It calls the hooks as a
// worker does. After cfg.Timeout without a connection it calls HandleTimeout and
// returns. Of cfg.Mode only Event matters, and there is no access log.
//
// The end of ctx ends the wait, with ctx's error; a connection that is being served
// has cfg.DrainTimeout to finish. The descriptors in ls stay the caller's and must be
// non-blocking.
func HandleRequest(ctx context.Context, cfg Config, o Options, ls []Listener) error {
	cfg, o, err := configureAlone(cfg, o)
	if err != nil {
		return configuration(err)
	}
	cfg.MaxConnections = 1
	l, err := newLoopAlone(ctx, cfg, o, ls, true)
	if err != nil {
		return err
	}
	defer l.stopProgram()
	defer context.AfterFunc(ctx, func() { l.inbox.post(terminated{}) })()
	_, err = l.supervise(l, nil)
	if err == nil && !l.lastTaken {
		err = ctx.Err()
	}
	return err
}

// configureAlone is configure for a worker without a master.
func configureAlone(cfg Config, o Options) (Config, Options, error) {
	cfg.AccessLog = false // there is no master to open it
	return configure(cfg, o)
}

// newLoopAlone makes the loop of a worker without a master. cfg and o come from
// configureAlone.
func newLoopAlone(ctx context.Context, cfg Config, o Options, ls []Listener, once bool) (*loop, error) {
	listeners, err := openListeners(ls, true)
	if err != nil {
		return nil, err
	}
	w := &worker{cfg: cfg, opt: o, slot: new(ipc.Slot), peer: new(ipc.Peer), once: once}
	if err := w.makeLog("", ""); err != nil {
		return nil, err
	}
	if err := w.prepare(ctx); err != nil {
		return nil, failure(err)
	}
	l, err := newLoop(w, listeners)
	if err != nil {
		w.stopProgram()
		w.inbox.wake.close()
		return nil, failure(err)
	}
	l.phase = phaseAccepting
	return l, nil
}

// handlesOneRequest says that this is HandleRequest.
func (w *worker) handlesOneRequest() bool { return w.once && w.channel == nil }
