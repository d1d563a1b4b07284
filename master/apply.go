package master

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/master/policy"
)

// apply carries out one action. What goes wrong becomes an event.
func (m *Master) apply(a policy.Action) {
	switch a := a.(type) {
	case policy.Load:
		m.startLoad()
	case policy.Spawn:
		m.applySpawn(a)
	case policy.Listen:
		m.listen(a.Generation)
	case policy.Accept:
		if w := m.workers[a.ID]; w != nil {
			w.serving, m.relist = true, true
			m.send(w, &ipc.Resume{})
		}
	case policy.DrainWorker:
		m.applyDrain(a)
	case policy.LameDuck:
		m.sendTo(a.ID, &ipc.LameDuck{})
	case policy.StopWorker:
		if w := m.workers[a.ID]; w != nil {
			w.stopped = true
			m.send(w, &ipc.Stop{})
		}
	case policy.Dump:
		m.sendTo(a.ID, &ipc.Dump{})
	case policy.Kill:
		m.applyKill(a.ID)
	case policy.Quiesce:
		m.applyQuiesce(a.Generation)
	case policy.Commit:
		m.applyCommit(a.Generation)
	case policy.Retire:
		m.retire(a.Generation)
	case policy.Notify:
		m.applyNotify(a)
		if a.State == policy.NotifyStopping {
			m.syncStore() // what is about to be closed must not come back
		}
	case policy.Verdict:
		m.applyVerdict(a)
	case policy.Note:
		m.applyNote(a)
	case policy.Exit:
		m.result = &a
	}
}

func (m *Master) applySpawn(a policy.Spawn) {
	g := m.generations[a.Generation]
	if g == nil {
		m.step(policy.SpawnFailed{ID: a.ID, Err: fmt.Sprintf("generation %d is not loaded", a.Generation)})
		return
	}
	m.board.Peer(a.Slot).Reset()
	w, err := m.spawn(a.ID, a.Slot, g)
	if err != nil {
		m.step(policy.SpawnFailed{ID: a.ID, Err: err.Error()})
		return
	}
	m.workers[a.ID] = w
	m.account(a.Slot).Workers++
	m.follow(w)
	m.step(policy.Spawned{ID: a.ID, PID: w.pid})
	m.send(w, &ipc.Hello{
		Protocol: ipc.ProtocolVersion, Build: m.options.Build, PID: unix.Getpid(),
		Slot: a.Slot, Slots: m.board.Len(), Generation: g.number,
		Listeners: g.wire(), Config: g.config.Worker,
		LogLevel: m.level(), LogFormat: m.options.LogFormat,
	})
	if m.access.fd >= 0 {
		m.instruct(w, ipc.TypeAccessLog)
	}
}

func (m *Master) applyDrain(a policy.DrainWorker) {
	w := m.workers[a.ID]
	if w == nil {
		return
	}
	w.serving, m.relist = false, true
	d := &ipc.Drain{Hold: a.Hold, TimeoutMS: a.Timeout.Milliseconds()}
	grace := time.Duration(0)
	if g := m.generations[w.generation]; a.Hold || a.Empty {
		for _, l := range m.own(g) {
			d.Own = append(d.Own, g.as[l].key)
			grace = max(grace, time.Until(l.emptyFrom))
		}
	}
	if a.Empty && len(d.Own) > 0 {
		d.GraceMS = max(1, min(grace, a.Timeout/2).Milliseconds()) // 0 says that nothing was quiesced
	}
	m.send(w, d)
}

func (m *Master) applyKill(id policy.ID) {
	w := m.workers[id]
	if w == nil {
		return
	}
	if err := w.kill(); err != nil && !errors.Is(err, unix.ESRCH) {
		m.log.Error("worker not killed", m.about(w, zap.Error(err))...)
	}
}

func (m *Master) applyQuiesce(number int) {
	g := m.generations[number]
	if g == nil {
		return
	}
	own := m.own(g)
	for _, l := range own {
		stop := l.quiesce
		if m.relieved(l) {
			stop = l.divert
		}
		if err := stop(); err != nil {
			m.log.Warn("listener not quiesced", zap.String("listener", l.name), zap.Error(err))
			continue
		}
		m.log.Info("listener closing", zap.String("listener", l.name), zap.Int("queued", l.queued()))
	}
	awaitHandshakes(own)
}

// relieved says whether the serving generation listens to l's address too, on
// another socket.
func (m *Master) relieved(l *listener) bool {
	return !m.ending() && l.network == "tcp" && slices.ContainsFunc(m.current.listeners, func(o *listener) bool {
		return o != l && o.listening && !o.quiesced && o.at.covers(l.at)
	})
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
	m.refit(g)
	m.syncStore()
}

// startLoad reads the next configuration off the owner loop.
func (m *Master) startLoad() {
	m.waiting.begin()
	if m.loading != nil {
		// One at a time: the program's own function may not be ready for more.
		m.step(policy.Loaded{Err: "the configuration of an earlier reload is still being loaded"})
		return
	}
	kept := m.known()
	ctx, cancel := context.WithTimeout(context.Background(), m.startTimeout())
	m.loading, m.giveUpLoad = kept, cancel
	go func() {
		defer cancel()
		got := m.load(ctx, kept)
		if !m.post(func(m *Master) { m.finishLoad(got) }) {
			got.discard(kept) // the master has ended meanwhile
		}
	}()
}

// finishLoad takes what the loader brought, unless it was given up.
func (m *Master) finishLoad(got loaded) {
	kept, givenUp := m.loading, m.giveUpLoad == nil
	m.loading, m.giveUpLoad = nil, nil
	ev := policy.Loaded{}
	switch {
	case givenUp:
		got.discard(kept)
	case got.err != nil:
		ev.Err = got.err.Error()
		m.step(ev)
	default:
		m.adopt(got)
		ev.Config = got.config.Policy
		m.step(ev)
	}
	for l := range kept { // for a loader that had no use for it
		m.release(l)
	}
}

// applyVerdict ends a reload for those who wait for it. A loader that is still
// at work has lost its reload.
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
	m.waiting.reloaded(Answer{OK: a.Err == "", Error: a.Err, Generation: a.Generation}, m.ending())
}

// applyNote writes a line of the policy's to the log, with what only the
// master knows of the worker it is about.
func (m *Master) applyNote(a policy.Note) {
	ce := m.log.Check(levels[a.Level], a.Message)
	if ce == nil {
		return
	}
	fields := make([]zap.Field, 0, len(a.Fields)+4)
	w := m.workers[a.ID]
	if w != nil {
		fields = m.about(w)
	}
	for _, f := range a.Fields {
		if w != nil && (f.Key == "slot" || f.Key == "pid" || f.Key == "generation") {
			continue
		}
		fields = append(fields, zap.Any(f.Key, f.Value))
	}
	if w != nil && w.last != nil {
		fields = append(fields, w.last...)
		w.last = nil
	}
	ce.Write(fields...)
}

// about returns the fields that name a worker in the log, before more.
func (m *Master) about(w *worker, more ...zap.Field) []zap.Field {
	return append([]zap.Field{
		zap.Int("slot", w.slot), zap.Int("pid", w.pid), zap.Int("generation", w.generation),
	}, more...)
}

var levels = [...]zapLevel{
	policy.Debug: zap.DebugLevel,
	policy.Info:  zap.InfoLevel,
	policy.Warn:  zap.WarnLevel,
	policy.Error: zap.ErrorLevel,
}
