package master

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	"prefork/ipc"
	"prefork/master/policy"
)

// startLoad loads the next configuration on another goroutine.
func (m *Master) startLoad() {
	if m.loading != nil {
		// One at a time: the program's own function may not be ready for more.
		m.step(policy.Loaded{Err: "the configuration of an earlier reload is still being loaded"})
		return
	}
	kept := m.keptListeners()
	ctx, cancel := context.WithTimeout(context.Background(), m.startTimeout())
	m.loading, m.giveUpLoad = kept, cancel
	go func() {
		defer cancel()
		g, err := m.load(ctx, kept)
		if !m.post(func(m *Master) { m.finishLoad(g, err) }) {
			g.discard(kept) // the master has ended meanwhile
		}
	}()
}

// finishLoad takes a loaded configuration, unless the load was given up.
func (m *Master) finishLoad(g *generation, err error) {
	kept, givenUp := m.loading, m.giveUpLoad == nil
	m.loading, m.giveUpLoad = nil, nil
	ev := policy.Loaded{}
	switch {
	case givenUp:
		g.discard(kept)
	case err != nil:
		ev.Err = err.Error()
		m.step(ev)
	default:
		m.addGeneration(g)
		ev.Config = g.config.Policy
		m.step(ev)
	}
	for l := range kept { // for a loader that had no use for it
		m.release(l)
	}
}

// applyVerdict records how a reload ended, and gives up a load that still runs.
func (m *Master) applyVerdict(a policy.Verdict) {
	if m.giveUpLoad != nil {
		m.giveUpLoad()
		m.giveUpLoad = nil
	}
	now := time.Now()
	m.lastReload = LastReload{OK: a.Err == "", Error: a.Err, At: &now}
	if a.Err == "" {
		m.reloads.OK++
	} else {
		m.reloads.Failed++
	}
}

// discard closes what was opened for a generation that is not wanted. kept are
// the listeners that were open before.
func (g *generation) discard(kept map[*listener]listener) {
	for _, l := range g.listeners {
		if _, old := kept[l]; !old {
			l.close()
		}
	}
}

// load reads a configuration and binds its new addresses. It runs on its own
// goroutine; kept is a copy made for it. After an error the generation has no
// listeners.
func (m *Master) load(ctx context.Context, kept map[*listener]listener) (*generation, error) {
	config := m.base
	if m.options.Load != nil {
		var err error
		if config, err = m.options.Load(ctx); err != nil {
			return &generation{}, err
		}
	}
	return m.bind(ctx, config, kept)
}

func (m *Master) bind(ctx context.Context, config Generation, kept map[*listener]listener) (*generation, error) {
	config.Listen = m.passed.addresses(config.Listen)
	if err := CheckSize(config); err != nil {
		return &generation{}, err
	}
	b := newBinder(config.NoReuseAddress, kept, m.passed)
	all, err := b.bind(ctx, config.Listen)
	g := &generation{
		config: config, listeners: all, as: b.as, skipped: b.skipped,
		environment: environment(os.Environ(), config.Policy.WithDefaults().Procs(CPUs())),
	}
	if config.Fork && config.Policy.OneShot {
		g.forking = &forking{g: g}
	}
	return g, err
}

// CheckSize returns an error if what a worker has to know about a generation
// does not fit into one message.
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

func (m *Master) keptListeners() map[*listener]listener { return keep(maps.Keys(m.sockets())) }
