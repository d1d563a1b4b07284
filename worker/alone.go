package worker

import (
	"context"
	"errors"
	"fmt"
	"net"

	"prefork/ipc"
)

// Alone is a worker in a process that no master has started: package
// preforktest serves with it. It accepts, calls the hooks, limits and drains as
// any worker does; it has no access log, and no siblings to share its listeners
// with. Its methods may be called from any goroutine.
type Alone struct {
	loop  *loop
	addrs []net.Addr
	done  chan struct{}
	err   error // valid after done
}

// ServeAlone begins to serve from ls, whose descriptors stay the caller's, must
// be non-blocking, and may be closed once Done is closed. Mode Forking, which
// gives each connection a process, is refused. The error is an *ExitError; if
// its code is ExitConfig, cfg or o is wrong.
func ServeAlone(cfg Config, o Options, ls []Listener) (*Alone, error) {
	if cfg.Mode == Forking {
		return nil, configuration(errors.New("mode forking gives each connection a process; without a master there is only this one"))
	}
	cfg, o, err := configureAlone(cfg, o)
	if err != nil {
		return nil, configuration(err)
	}
	l, err := newLoopAlone(context.Background(), cfg, o, ls, false)
	if err != nil {
		return nil, err
	}
	a := &Alone{loop: l, done: make(chan struct{})}
	for _, ln := range l.listeners {
		a.addrs = append(a.addrs, ln.info.addr)
	}
	go func() {
		defer close(a.done)
		defer l.stopProgram()
		_, a.err = l.supervise(l, nil)
		if n := l.table.active(); n > 0 && a.err == nil {
			a.err = fmt.Errorf("handlers of %d connections still run, %v after their end", n, handlersGrace)
		}
	}()
	return a, nil
}

// Addrs returns where it serves: the addresses that ls are bound to.
func (a *Alone) Addrs() []net.Addr { return a.addrs }

// Drain begins the drain, as if the whole server were to end. It takes
// Config.DrainTimeout at most.
func (a *Alone) Drain() { a.loop.inbox.post(terminated{}) }

// Stop ends a drain, or a worker that does not drain yet: the handlers'
// contexts end now, their connections are closed a moment later, and after a
// second handlers are no longer waited for.
func (a *Alone) Stop() { a.loop.inbox.post(&ipc.Drain{}) }

// Done is closed when the worker has ended.
func (a *Alone) Done() <-chan struct{} { return a.done }

// Err says why the worker has ended, once Done is closed: nil after a drain or
// a stop, an error if handlers still run or if the worker ended by itself.
func (a *Alone) Err() error { return a.err }
