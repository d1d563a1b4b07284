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

func (m *Master) applyKill(id policy.ID) {
	w := m.workers[id]
	if w == nil {
		return
	}
	if err := w.kill(); err != nil && !errors.Is(err, unix.ESRCH) {
		m.log.Error("worker not killed", m.about(w, zap.Error(err))...)
	}
}

// partingTime bounds a wait that is over at once unless
// something is wrong: for its last messages after its exit, and for its exit
// after it closed the channel.
const lastMessagesTime = 2 * time.Second

// attend waits for the worker's end. The exit is told after the last message,
// which may be the reason for it.
func (m *Master) watchExit(w *worker, heard <-chan struct{}, ended chan<- struct{}) {
	e, err := w.watch()
	close(ended)
	select {
	case <-heard:
	case <-time.After(lastMessagesTime): // something else holds the other end
	}
	m.post(func(m *Master) { m.exited(w, e, err) })
}

// exited accounts for a worker that is gone and tells the policy.
func (m *Master) exited(w *worker, e exit, err error) {
	if err != nil {
		m.log.Error("exit not seen", m.about(w, zap.Error(err))...)
		e = exit{code: -1}
	}
	m.count(w)
	clean := e.signal == 0 && e.code == 0
	// What it has cut it has counted as failed. What it held besides it took along,
	// also with exit status 0: a handler may call os.Exit.
	lost := w.lost()
	m.totals.Failed += uint64(lost)
	m.slots[w.slot].Failed += uint64(lost)
	if lost += w.cut; lost > 0 {
		w.exitFields = append(w.exitFields, zap.Int("connections_lost", lost))
	}
	m.addExited(w, e.cpu)
	m.limitFailureLog(w)
	if words := w.evidence(); words != "" && !clean && m.evidences.Allow(time.Now()) {
		w.exitFields = append(w.exitFields, zap.String("evidence", words))
	}
	m.board.Peer(w.slot).Reset()
	m.step(policy.Exited{ID: w.id, Code: e.code, Signal: e.signal, Lost: lost})
	delete(m.workers, w.id)
	go w.close() // the owner loop does not wait for what a worker has left behind
}

// exit is how a worker ended.
type exit struct {
	code   int
	signal int
	cpu    time.Duration // that the process has used
}

// watch waits for the worker's end and reaps it. It uses no thread: a pidfd is
// pollable, and Wait4 with WNOHANG is asked only once it is ready.
func (w *worker) watch() (exit, error) {
	raw, err := w.pidfd.SyscallConn()
	if err != nil {
		return exit{}, err
	}
	var status unix.WaitStatus
	var usage unix.Rusage
	var waitErr error
	err = raw.Read(func(uintptr) bool {
		for {
			var pid int
			pid, waitErr = unix.Wait4(w.pid, &status, unix.WNOHANG, &usage)
			if waitErr != unix.EINTR {
				return waitErr != nil || pid != 0
			}
		}
	})
	if err == nil {
		err = waitErr
	}
	if err != nil {
		return exit{}, fmt.Errorf("wait for process %d: %w", w.pid, err)
	}
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	if status.Signaled() {
		return exit{signal: int(status.Signal()), cpu: cpu}, nil
	}
	return exit{code: status.ExitStatus(), cpu: cpu}, nil
}

// kill sends SIGKILL through the pidfd, so that it can never reach a process
// that took the number since.
func (w *worker) kill() error {
	raw, err := w.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	var killErr error
	if err := raw.Control(func(fd uintptr) {
		killErr = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0)
	}); err != nil {
		return err
	}
	return killErr
}

// maxEvidence bounds what is logged of a worker's last words, in bytes.
const maxEvidence = 16 << 10

// evidence returns what the runtime wrote before the worker died: a panic, a
// fatal error or a goroutine dump. It must be called after the exit.
func (w *worker) evidence() string {
	text, err := ipc.ReadCrashFile(w.crash, maxEvidence)
	if err != nil {
		return ""
	}
	return text
}

// close releases what the master holds of a worker that is gone. It may wait for
// as long as the worker wanted: descriptors that the worker has sent are closed
// with the channel, and Close waits for a Receive that closes others.
func (w *worker) close() {
	_ = w.pidfd.Close()
	_ = unix.Close(w.crash)
	_ = w.memory.Close()
	_ = w.channel.Close()
}
