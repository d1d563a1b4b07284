package master

import (
	"errors"
	"net"
	"slices"
	"time"

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
	as        map[*listener]served // how this generation names and configures them
	skipped   []skipped            // addresses that it does not serve

	environment []string // of its workers
	forking     *forking // nil: its workers are executed
}

// describe lists the listeners for a Hello.
func (g *generation) describe() []ipc.Listener {
	out := make([]ipc.Listener, len(g.listeners))
	for i, l := range g.listeners {
		out[i] = ipc.Listener{Name: g.as[l].key, Network: l.network, Address: l.address}
	}
	return out
}

func (g *generation) has(l *listener) bool { return slices.Contains(g.listeners, l) }

// applyConfig gives the listeners the name, file mode and queue length that g
// configures, and reopens those that an earlier generation had quiesced.
func (m *Master) applyConfig(g *generation) {
	for _, l := range g.listeners {
		want := g.as[l].Address
		l.name = want.Name
		if err := l.update(want, orDefault(g.config.Backlog)); err != nil {
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
		if l.loggedName != l.name {
			l.loggedName = l.name
			m.log.Info("listening", zap.String("listener", l.name), zap.String("address", l.address))
		}
	}
}

// listen lets the sockets of a generation accept connections.
func (m *Master) listen(number int) {
	g := m.generations[number]
	if g == nil {
		return
	}
	var errs []error
	for _, l := range g.listeners {
		for _, o := range m.samePort(l) {
			if o.expected.broken != "" && o.bound == l.bound {
				_ = unix.Shutdown(o.fd, unix.SHUT_RDWR) // or it would have half the connections
			}
		}
		if err := l.listen(orDefault(g.config.Backlog), m.samePort(l)); err != nil {
			errs = append(errs, bindError(&socketSpec{served: g.as[l], at: l.bound}, err))
		}
	}
	ev := policy.Listening{Generation: number}
	if err := errors.Join(errs...); err != nil {
		ev.Err = err.Error()
	} else if g == m.current { // the first: there is no Commit
		m.applyConfig(g)
		m.syncStore()
	}
	m.step(ev)
}

// samePort lists the other listeners with l's port.
func (m *Master) samePort(l *listener) []*listener {
	var rivals []*listener
	for o := range m.sockets() {
		if o != l && o.mayBlock(l.bound) {
			rivals = append(rivals, o)
		}
	}
	return rivals
}

// sockets returns the listeners of all generations.
func (m *Master) sockets() map[*listener]bool {
	all := map[*listener]bool{}
	for _, g := range m.generations {
		for _, l := range g.listeners {
			all[l] = true
		}
	}
	return all
}

// retire forgets a generation and closes the listeners that only it had.
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

// release closes l, unless a generation has it or a load may still give it to
// one.
func (m *Master) release(l *listener) {
	if _, pinned := m.loading[l]; pinned {
		return
	}
	for _, g := range m.generations {
		if g.has(l) {
			return
		}
	}
	m.closeListener(l)
}

// addGeneration makes g, which was loaded, the next generation. The policy retires
// it if it is not wanted any more.
func (m *Master) addGeneration(g *generation) {
	g.number = m.machine.NextGeneration()
	m.generations[g.number] = g
	for _, s := range g.skipped {
		m.log.Warn("address not served: this machine does not have it",
			zap.String("listener", s.listener), zap.String("address", s.address), zap.Error(s.err))
	}
}

func (m *Master) applyCommit(number int) {
	g := m.generations[number]
	if g == nil {
		return
	}
	m.current = g
	if g.config.LogLevel != "" {
		if err := m.setLevel(g.config.LogLevel); err != nil {
			m.log.Warn("log level not set", zap.Error(err))
		}
	}
	m.applyConfig(g)
	m.syncStore()
	m.noteAddrs()
}

// Addrs returns what the generation that serves is bound to, in the order of its
// Listen, and nil until the first one serves. It may be called from any goroutine.
func (m *Master) Addrs() []net.Addr {
	if addrs := m.addrs.Load(); addrs != nil {
		return slices.Clone(*addrs)
	}
	return nil
}

// noteAddrs is called when another generation serves, and calls Ready the first
// time.
func (m *Master) noteAddrs() {
	addrs := make([]net.Addr, len(m.current.listeners))
	for i, l := range m.current.listeners {
		addrs[i] = l.addr()
	}
	if m.addrs.Swap(&addrs) == nil && m.options.Ready != nil {
		go m.options.Ready(slices.Clone(addrs))
	}
}

// startTimeout is the StartTimeout of the generation that serves.
func (m *Master) startTimeout() time.Duration {
	if t := m.current.config.Policy.StartTimeout; t > 0 {
		return t
	}
	return m.base.Policy.StartTimeout
}
