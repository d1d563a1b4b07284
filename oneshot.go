package prefork

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"prefork/master"
	"prefork/worker"
)

// HandleRequest serves one connection in this process and returns:
// socketserver's handle_request. It waits for Timeout at most (0: until ctx
// ends), calling Hooks.HandleTimeout if no connection came. No master and no
// worker is started; Hooks.WorkerStart and WorkerStop are called in each call.
//
// The first call binds, and the sockets stay open between calls, so that clients
// that connect meanwhile wait in the queue for the next one. Close closes them; a
// call after that binds anew. Several goroutines may call it at once, for a
// connection each; a Handler that they share must allow it.
//
// A call that waits while Close is called returns an error that is
// net.ErrClosed, without having served anybody. Run closes the sockets as Close
// does, and binds its own, unless Close was called before; but what systemd
// passed is passed only once, and remains with whichever of the two came first.
func (s *Server) HandleRequest(ctx context.Context) error {
	if problems := s.Validate(); len(problems) > 0 {
		return &ConfigError{Err: errors.Join(problems...)}
	}
	b, listeners, err := s.join(ctx)
	if err != nil {
		return err
	}
	defer s.oneShot.leave(b)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(b.ctx, func() { cancel(net.ErrClosed) })()
	defer s.oneShot.log.sync()
	o := s.workerOptions(&s.oneShot.log)
	err = worker.HandleRequest(ctx, s.workerConfig(&s.Config), o, listeners)
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), net.ErrClosed) {
		err = fmt.Errorf("handle request: %w", net.ErrClosed)
	}
	return err
}

// oneShot is what HandleRequest keeps from one call to the next.
type oneShot struct {
	mu      sync.Mutex // guards the rest, but for log
	sockets master.Sockets
	current *binding // nil unless the sockets are open

	log madeLog // of the first call, for all: in a service each has a descriptor for good
}

// binding is the time from a bind to the close that follows. The fields below
// ctx are guarded by oneShot.mu.
type binding struct {
	ctx  context.Context // ends when Close is called
	end  context.CancelFunc
	gone chan struct{} // closed when the sockets are

	listeners []worker.Listener
	turn      int // the listener that the next call looks at first
	calls     int // of HandleRequest, under way
}

// join counts a call in, which binds if no other has, and returns the listeners
// in the order in which it is to look at them: they take turns, or one that is
// always busy would hide the others.
func (s *Server) join(ctx context.Context) (*binding, []worker.Listener, error) {
	for {
		b, listeners, err := s.tryJoin(ctx)
		if listeners != nil || err != nil {
			return b, listeners, err
		}
		// The descriptors and the addresses are in use until the last is done.
		select {
		case <-b.gone:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// tryJoin is join, without listeners if the binding is about to end.
func (s *Server) tryJoin(ctx context.Context) (*binding, []worker.Listener, error) {
	o := &s.oneShot
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current == nil {
		open, err := o.sockets.Open(ctx, s.Listen, s.RequestQueueSize, s.NoReuseAddress)
		if err != nil {
			return nil, nil, err
		}
		o.current = &binding{gone: make(chan struct{})}
		for _, l := range open {
			o.current.listeners = append(o.current.listeners, worker.Listener{Name: l.Name, FD: l.FD})
		}
		o.current.ctx, o.current.end = context.WithCancel(context.Background())
	}
	b := o.current
	if b.ctx.Err() != nil {
		return b, nil, nil
	}
	b.calls++
	first := b.turn % len(b.listeners)
	b.turn++
	return b, append(b.listeners[first:len(b.listeners):len(b.listeners)], b.listeners[:first]...), nil
}

// leave counts a call out.
func (o *oneShot) leave(b *binding) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b.calls--
	o.releaseLocked(b)
}

func (o *oneShot) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current != nil {
		o.current.end()
		o.releaseLocked(o.current)
	}
}

// releaseLocked closes the sockets if that was asked for and nobody uses them.
func (o *oneShot) releaseLocked(b *binding) {
	if b.calls > 0 || b.ctx.Err() == nil {
		return
	}
	o.sockets.Close()
	o.current = nil
	close(b.gone)
}
