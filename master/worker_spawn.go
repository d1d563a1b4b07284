package master

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/forkexec"
	"prefork/ipc"
	"prefork/master/policy"
)

// image is the running program, even if its file was replaced since. So a
// generation never mixes versions.
const image = "/proc/self/exe"

// spawn starts a worker of g. It takes as long as vfork and exec, about a
// millisecond.
func (m *Master) spawn(id policy.ID, slot int, g *generation) (*worker, error) {
	w := &worker{id: id, slot: slot, generation: g.number}
	w.to = w
	files := make([]int, len(g.listeners))
	for i, l := range g.listeners {
		files[i] = l.fd
	}
	if err := m.execute(&w.link, g.environment, files); err != nil {
		return nil, err
	}
	w.startedMono, w.countedAt = ipc.Now(), w.started
	w.memory.Quiet.Store(m.quiet)
	return w, nil
}

// execute starts the process of l, which gets the listeners.
func (m *Master) execute(l *link, env []string, listeners []int) error {
	t, err := l.prepare()
	if err != nil {
		return err
	}
	defer t.close()
	files := append([]int{m.devNull, 1, 2, t.channel, m.board.FD(), t.memory, l.crash}, listeners...)
	// The process has its own process group: Ctrl-C signals the foreground group,
	// and only the master should react.
	pid, pidfd, err := forkexec.Start(image, os.Args, env, files)
	if err != nil {
		l.close()
		return fmt.Errorf("start %s: %w", image, err)
	}
	l.pid, l.started = pid, time.Now()
	if err := l.setPidfd(pidfd); err != nil {
		l.close()
		abandon(pid, pidfd)
		return err
	}
	return nil
}

func (m *Master) applySpawn(a policy.Spawn) {
	g := m.generations[a.Generation]
	if g == nil {
		m.step(policy.SpawnFailed{ID: a.ID, Err: fmt.Sprintf("generation %d is not loaded", a.Generation)})
		return
	}
	m.board.Peer(a.Slot).Reset()
	if !m.fork(g, a) {
		m.executeWorker(g, a)
	}
}

// executeWorker starts a worker as a new process.
func (m *Master) executeWorker(g *generation, a policy.Spawn) {
	w, err := m.spawn(a.ID, a.Slot, g)
	if err != nil {
		m.step(policy.SpawnFailed{ID: a.ID, Err: err.Error()})
		return
	}
	m.begin(w)
	m.greet(&w.link, g, a.Slot, g.describe())
}

// greet tells a process of g what it has to know.
func (m *Master) greet(l *link, g *generation, slot int, listeners []ipc.Listener) {
	m.send(l, &ipc.Hello{
		Protocol: ipc.ProtocolVersion, Build: m.options.Build, PID: unix.Getpid(),
		Slot: slot, Slots: m.board.Len(), Generation: g.number,
		Listeners: listeners, Config: g.config.Worker,
		LogLevel: m.level(), LogFormat: m.options.LogFormat,
	})
	if m.access.fd >= 0 {
		m.giveOrder(l, ipc.TypeAccessLog)
	}
}

// abandon kills and reaps a process that cannot be watched. It has run for less
// than a millisecond and has no connections.
func abandon(pid, pidfd int) {
	_ = unix.Kill(pid, unix.SIGKILL)
	_, _ = unix.Wait4(pid, nil, 0, nil)
	if pidfd >= 0 {
		_ = unix.Close(pidfd)
	}
}
