package master

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/master/policy"
)

// fork has a worker forked, now or when the zygote is ready. It is false if the worker
// must be executed.
func (m *Master) fork(g *generation, a policy.Spawn) bool {
	f := g.forking
	if f == nil || f.off != "" {
		return false
	}
	m.testForks(g)
	m.startZygote(f)
	if z := f.zygote; f.off != "" || z == nil || f.hurried && !z.ready || m.forkTest.late(m.now()) {
		return false
	}
	f.waiting = append(f.waiting, waitingSpawn{a, m.now()})
	m.sendForks(f)
	return true
}

// sendForks passes requests to the zygote, as many as it may have.
func (m *Master) sendForks(f *forking) {
	for z := f.zygote; z != nil && z.mayFork(m) && len(f.waiting) > 0 && len(z.asked) < mostForks; {
		a := f.waiting[0].Spawn
		f.waiting = f.waiting[1:]
		err := m.sendFork(z, a)
		switch {
		case err == nil:
		case errors.Is(err, ipc.ErrStuck):
			m.executeWorker(f.g, a)
			z.unfit(m, err.Error())
		default: // the master lacks something, or the zygote is gone
			m.executeWorker(f.g, a)
		}
	}
}

// sendFork asks the zygote for a worker.
func (m *Master) sendFork(z *zygote, a policy.Spawn) error {
	w := &worker{id: a.ID, slot: a.Slot, generation: a.Generation, forked: true}
	w.to = w
	t, err := w.prepare()
	if err != nil {
		return err
	}
	defer t.close()
	w.memory.Quiet.Store(m.quiet)
	w.started, w.startedMono = time.Now(), ipc.Now()
	w.countedAt = w.started
	err = z.channel.Send(&ipc.Fork{ID: uint64(a.ID), Slot: a.Slot, LogLevel: m.level()}, t.channel, t.memory, w.crash)
	if err != nil {
		w.close()
		return err
	}
	if len(z.asked) == 0 {
		z.askedAt = m.now()
	}
	z.asked = append(z.asked, w)
	return nil
}

// forked handles the answer to a Fork.
func (m *Master) forked(z *zygote, msg *ipc.Forked) {
	if z.cause != "" && z.cause != causeStopped {
		return // its workers are executed, and what it has forked ends with its process group
	}
	if len(z.asked) == 0 || uint64(z.asked[0].id) != msg.ID {
		z.unfit(m, fmt.Sprintf("answers fork %d, which is not next", msg.ID))
		return
	}
	w := z.asked[0]
	z.asked, z.askedAt = z.asked[1:], m.now()
	m.addStillborn(z, msg.Stillborn)
	var err error
	if msg.PID == 0 {
		z.failures++
		m.log.Warn("worker not forked", z.about(zap.Int("slot", w.slot), zap.String("error", reason(msg.Error)))...)
	} else if err = m.adopt(z, w, msg.PID); err == nil {
		z.failures = 0
		m.forks.Forked++
		z.of.recent.add(m.now(), 1, 0)
		m.begin(w)
		for t := range z.outbox.orders { // it may have been forked before the zygote got them
			m.giveOrder(&w.link, t)
		}
		m.sendForks(z.of)
		return
	}
	w.close()
	m.executeWanted(z.of.g, w.order())
	switch {
	case err != nil:
		z.unfit(m, err.Error())
	case z.failures >= mostForkErrors:
		z.unfit(m, "cannot fork: "+reason(msg.Error))
	default:
		m.sendForks(z.of)
	}
}

// adopt makes the process that z has forked the process of w. Only a process that z
// has cloned is both a child of this process and in the process group of z: a worker
// leaves the group here, and z's own children are not ours.
func (m *Master) adopt(z *zygote, w *worker, pid int) error {
	if !z.cloned(pid) {
		return fmt.Errorf("names process %d, which it has not forked", pid)
	}
	// The process cannot go away, because nobody has reaped it.
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	w.pid = pid
	if err = unix.Setpgid(pid, pid); err == nil {
		err = w.setPidfd(pidfd)
	}
	if err != nil {
		abandon(pid, pidfd)
		return fmt.Errorf("take over process %d: %w", pid, err)
	}
	w.helloReceived = true // the zygote's
	return nil
}

// cloned reports whether pid is a process that z has cloned and nobody knows yet.
func (z *zygote) cloned(pid int) bool {
	if pid <= 1 || pid == z.pid {
		return false
	}
	group, err := unix.Getpgid(pid)
	if err != nil || group != z.pid {
		return false
	}
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err == nil // ECHILD: not ours
		}
	}
}

// begin watches a worker whose process runs, and tells the policy.
func (m *Master) begin(w *worker) {
	m.workers[w.id] = w
	row := m.slots[w.slot]
	row.Slot, row.Workers = w.slot, row.Workers+1
	m.slots[w.slot] = row
	m.watch(&w.link)
	m.step(policy.Spawned{ID: w.id, PID: w.pid})
}

// executeAsked executes the workers that z should have forked.
func (m *Master) executeAsked(z *zygote) {
	asked := z.asked
	z.asked = nil
	for _, w := range asked {
		w.close() // a process that has the other end reads EOF, and exits
		m.executeWanted(z.of.g, w.order())
	}
}

// executeWaiting executes the workers that wait for the zygote.
func (m *Master) executeWaiting(f *forking) {
	waiting := f.waiting
	f.waiting = nil
	for _, a := range waiting {
		m.executeWanted(f.g, a.Spawn)
	}
}

// order is the action that asked for w.
func (w *worker) order() policy.Spawn {
	return policy.Spawn{ID: w.id, Slot: w.slot, Generation: w.generation}
}

// executeWanted executes a worker, unless the policy has given it up.
func (m *Master) executeWanted(g *generation, a policy.Spawn) {
	if m.machine.WorkerState(a.ID) != policy.WorkerStarting {
		m.step(policy.SpawnFailed{ID: a.ID, Err: "it is not needed any more"})
		return
	}
	m.executeWorker(g, a)
}

// dropWaiting gives up workers that the policy does not want any more.
func (m *Master) dropWaiting(f *forking) {
	for i := 0; i < len(f.waiting); {
		id := f.waiting[i].ID
		if m.machine.WorkerState(id) == policy.WorkerStarting {
			i++
			continue
		}
		f.waiting = append(f.waiting[:i:i], f.waiting[i+1:]...)
		m.step(policy.SpawnFailed{ID: id, Err: "it is not needed any more"})
		i = 0 // the step may have changed the list
	}
}

// stopForking has all workers of the generation executed from now on.
func (m *Master) stopForking(f *forking, why string) {
	if f.off != "" {
		return
	}
	f.off = why
	m.log.Warn("executing spares instead of forking", zap.Int("generation", f.g.number), zap.String("error", why))
	if f.zygote != nil {
		m.stopZygote(f.zygote)
	}
}
