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
	crash, err := ipc.NewCrashFile()
	if err != nil {
		return nil, err
	}
	memory, memoryFD, err := ipc.NewSlot()
	if err != nil {
		_ = unix.Close(crash)
		return nil, err
	}
	defer unix.Close(memoryFD)
	ours, theirs, err := ipc.Pair()
	if err != nil {
		_, _ = unix.Close(crash), memory.Close()
		return nil, err
	}
	defer unix.Close(theirs)

	files := []int{m.devNull, 1, 2, theirs, m.board.FD(), memoryFD, crash}
	for _, l := range g.listeners {
		files = append(files, l.fd)
	}
	// The worker has its own process group: Ctrl-C signals the foreground group,
	// and only the master should react.
	pid, pidfd, err := forkexec.Start(image, os.Args, g.environment, files)
	if err != nil {
		_ = unix.Close(ours)
		_, _ = unix.Close(crash), memory.Close()
		return nil, fmt.Errorf("start %s: %w", image, err)
	}
	w := &worker{id: id, slot: slot, generation: g.number, pid: pid, started: time.Now(), startedMono: ipc.Now(), crash: crash, memory: memory}
	w.countedAt = w.started
	memory.Quiet.Store(m.quiet)
	if err := w.open(ours, pidfd); err != nil {
		_ = unix.Close(ours)
		_, _ = unix.Close(crash), memory.Close()
		abandon(pid, pidfd)
		return nil, err
	}
	return w, nil
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
	row := m.slots[a.Slot]
	row.Slot, row.Workers = a.Slot, row.Workers+1
	m.slots[a.Slot] = row
	m.watchWorker(w)
	m.step(policy.Spawned{ID: a.ID, PID: w.pid})
	m.send(w, &ipc.Hello{
		Protocol: ipc.ProtocolVersion, Build: m.options.Build, PID: unix.Getpid(),
		Slot: a.Slot, Slots: m.board.Len(), Generation: g.number,
		Listeners: g.describe(), Config: g.config.Worker,
		LogLevel: m.level(), LogFormat: m.options.LogFormat,
	})
	if m.access.fd >= 0 {
		m.giveOrder(w, ipc.TypeAccessLog)
	}
}

// open wraps the channel and the pidfd. On error the channel's descriptor is
// still the caller's.
func (w *worker) open(channel, pidfd int) error {
	if pidfd < 0 {
		return fmt.Errorf("kernel gave no pidfd for process %d; Linux 5.4 or later is needed", w.pid)
	}
	if err := unix.SetNonblock(pidfd, true); err != nil {
		return fmt.Errorf("make pidfd non-blocking: %w", err)
	}
	ch, err := ipc.NewChannel(channel)
	if err != nil {
		return err
	}
	w.channel = ch
	w.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	return nil
}

// abandon kills and reaps a worker that cannot be watched. It has run for less
// than a millisecond and has no connections.
func abandon(pid, pidfd int) {
	_ = unix.Kill(pid, unix.SIGKILL)
	_, _ = unix.Wait4(pid, nil, 0, nil)
	if pidfd >= 0 {
		_ = unix.Close(pidfd)
	}
}
