package master

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/master/policy"
)

// generation is one configuration with the sockets it serves.
type generation struct {
	number    int
	config    Generation
	listeners []*listener
	as        map[*listener]served // as this generation knows and wants them
}

// wire lists the listeners as a Hello names them.
func (g *generation) wire() []ipc.Listener {
	out := make([]ipc.Listener, len(g.listeners))
	for i, l := range g.listeners {
		out[i] = l.wire(g.as[l].key)
	}
	return out
}

// serves says whether the generation has the listener.
func (g *generation) serves(l *listener) bool {
	for _, have := range g.listeners {
		if have == l {
			return true
		}
	}
	return false
}

// loaded is what the loader's goroutine hands to the owner loop.
type loaded struct {
	config  Generation
	all     []*listener
	as      map[*listener]served
	skipped []skipped
	err     error
}

// discard closes what was opened for a generation that will not be. kept is
// what the loader was given.
func (got *loaded) discard(kept map[*listener]known) {
	for _, l := range got.all {
		if _, old := kept[l]; !old {
			l.close()
		}
	}
}

// load reads a configuration and binds what it adds. It runs on a goroutine
// of its own; kept is a copy made for it.
func (m *Master) load(ctx context.Context, kept map[*listener]known) loaded {
	config := m.base
	if m.options.Load != nil {
		var err error
		if config, err = m.options.Load(ctx); err != nil {
			return loaded{err: err}
		}
	}
	return m.bind(ctx, config, kept)
}

func (m *Master) bind(ctx context.Context, config Generation, kept map[*listener]known) loaded {
	config.Listen = m.passed.listen(config.Listen)
	if err := CheckSize(config); err != nil {
		return loaded{err: err}
	}
	b := newBinder(config.NoReuseAddress, kept, m.passed)
	all, err := b.bind(ctx, config.Listen)
	return loaded{config: config, all: all, as: b.as, skipped: b.skipped, err: err}
}

// CheckSize says whether what a worker must be told of a generation fits into
// one message.
func CheckSize(g Generation) error {
	hello := &ipc.Hello{Config: g.Worker}
	for _, s := range g.Listen {
		hello.Listeners = append(hello.Listeners, ipc.Listener{Name: s, Network: "unix", Address: s})
	}
	const room = 1 << 10 // for the fields that are known only later
	data, err := ipc.Encode(hello)
	if err == nil && len(data) > ipc.MaxMessage-room {
		err = ipc.ErrTooLong
	}
	if errors.Is(err, ipc.ErrTooLong) {
		return &ConfigError{fmt.Errorf("%d listen addresses and %d bytes of settings do not fit into the %d bytes that a worker can be told; configure less",
			len(g.Listen), len(g.Worker), ipc.MaxMessage)}
	}
	return err
}

// refit gives the listeners what g wants of them and an earlier generation may
// have wanted otherwise, and calls them as g does.
func (m *Master) refit(g *generation) {
	for _, l := range g.listeners {
		want := g.as[l].Address
		l.name = want.Name
		if err := l.refit(want, orDefault(g.config.Backlog)); err != nil {
			m.log.Warn("listener not changed", zap.String("listener", l.name), zap.Error(err))
		} else if l.path != "" && !l.external {
			file, log := *l, m.log
			briefly(func() {
				if err := file.setFile(want); err != nil {
					log.Warn("listener not changed", zap.String("listener", file.name), zap.Error(err))
				}
			})
		}
		if err := l.reopen(); err != nil {
			m.log.Error("listener not reopened", zap.String("listener", l.name), zap.Error(err))
		}
		if l.logged != l.name {
			l.logged = l.name
			m.log.Info("listening", zap.String("listener", l.name), zap.String("address", l.address))
		}
	}
}

// listen makes the sockets of a generation listen.
func (m *Master) listen(number int) {
	g := m.generations[number]
	if g == nil {
		return
	}
	var errs []error
	for _, l := range g.listeners {
		for _, o := range m.rivals(l) {
			if o.expected.broken != "" && o.at == l.at {
				_ = unix.Shutdown(o.fd, unix.SHUT_RDWR) // or it would have half the connections
			}
		}
		if err := l.listen(orDefault(g.config.Backlog), m.rivals(l)); err != nil {
			errs = append(errs, bindError(&want{served: g.as[l], at: l.at}, err))
		}
	}
	ev := policy.Listening{Generation: number}
	if err := errors.Join(errs...); err != nil {
		ev.Err = err.Error()
	} else if g == m.current { // the first: there is no Commit
		m.refit(g)
		m.syncStore()
	}
	m.step(ev)
}

// rivals lists the listeners that have l's port.
func (m *Master) rivals(l *listener) []*listener {
	var rivals []*listener
	for o := range m.sockets() {
		if o != l && o.rivals(l.at) {
			rivals = append(rivals, o)
		}
	}
	return rivals
}

// sockets are the listeners of all generations.
func (m *Master) sockets() map[*listener]bool {
	all := map[*listener]bool{}
	for _, g := range m.generations {
		for _, l := range g.listeners {
			all[l] = true
		}
	}
	return all
}

// own lists the listeners of g that only g will go on serving: all those that
// the master closes when it drains, else those that the committed generation
// does not have.
func (m *Master) own(g *generation) []*listener {
	var own []*listener
	for _, l := range g.listeners {
		switch {
		case l.external:
			// It stays open in the service manager: what is queued there
			// waits for the next incarnation.
		case m.ending():
			own = append(own, l)
		case m.current != nil && m.current != g && !m.current.serves(l):
			own = append(own, l)
		}
	}
	return own
}

// retire forgets a generation and closes what no other one has.
func (m *Master) retire(number int) {
	g := m.generations[number]
	if g == nil {
		return
	}
	delete(m.generations, number)
	for _, l := range g.listeners {
		m.release(l)
	}
}

// release closes l unless a generation still has it, or the loader may be
// about to give it to one.
func (m *Master) release(l *listener) {
	if _, pinned := m.loading[l]; pinned {
		return
	}
	for _, g := range m.generations {
		if g.serves(l) {
			return
		}
	}
	m.closeListener(l)
}

// known describes the open listeners to a loader.
func (m *Master) known() map[*listener]known {
	all := map[*listener]known{}
	for l := range m.sockets() {
		all[l] = known{*l, l.reusable()}
	}
	return all
}

// adopt makes what was loaded the next generation. If the policy does not want
// it any more it retires it, and with it what it opened.
func (m *Master) adopt(got loaded) *generation {
	g := &generation{number: m.machine.NextGeneration(), config: got.config, listeners: got.all, as: got.as}
	m.generations[g.number] = g
	for _, s := range got.skipped {
		m.log.Warn("address not served: this machine does not have it",
			zap.String("listener", s.listener), zap.String("address", s.address), zap.Error(s.err))
	}
	return g
}
