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

// lastMessagesTime limits the wait for a worker's last messages after its exit.
// They are there at once, unless another process has its end of the channel.
const lastMessagesTime = 2 * time.Second

// watchExit waits for the exit of the process. It is reported after the last message,
// which may say why.
func (m *Master) watchExit(l *link, channelDone <-chan struct{}, ended chan<- struct{}) {
	e, err := l.awaitExit()
	close(ended)
	select {
	case <-channelDone:
	case <-time.After(lastMessagesTime): // another process has the other end
	}
	m.post(func(m *Master) { l.to.exited(m, e, err) })
}

// exited adds up the counters of a worker that has exited, and tells the
// policy.
func (w *worker) exited(m *Master, e exit, err error) {
	if err != nil {
		m.log.Error("exit not seen", w.about(zap.Error(err))...)
		e = exit{code: -1}
	}
	m.count(w)
	clean := e.signal == 0 && e.code == 0
	// The worker has counted connections that it closed itself as failed. Those
	// that it still had are lost, also with exit status 0: a handler may call
	// os.Exit.
	lost := w.lost()
	m.addExited(w, lost, e.cpu)
	if lost += w.cut; lost > 0 {
		w.exitFields = append(w.exitFields, zap.Int("connections_lost", lost))
	}
	m.limitFailureLog(w)
	if !clean {
		if words := w.evidence(); words != "" && m.evidences.Allow(time.Now()) {
			w.exitFields = append(w.exitFields, zap.String("evidence", words))
		}
	}
	m.board.Peer(w.slot).Reset()
	m.step(policy.Exited{ID: w.id, Code: e.code, Signal: e.signal, Lost: lost})
	delete(m.workers, w.id)
	go w.close() // off the owner loop: see close
}

// exit is how a process ended.
type exit struct {
	code   int
	signal int
	cpu    time.Duration // its processor time
}

// awaitExit waits for the exit and reaps the process. It uses no thread: the pidfd
// is in the netpoller, and Wait4 does not block.
func (l *link) awaitExit() (exit, error) {
	raw, err := l.pidfd.SyscallConn()
	if err != nil {
		return exit{}, err
	}
	var status unix.WaitStatus
	var usage unix.Rusage
	var waitErr error
	err = raw.Read(func(uintptr) bool {
		for {
			var pid int
			pid, waitErr = unix.Wait4(l.pid, &status, unix.WNOHANG, &usage)
			if waitErr != unix.EINTR {
				return waitErr != nil || pid != 0
			}
		}
	})
	if err == nil {
		err = waitErr
	}
	if err != nil {
		return exit{}, fmt.Errorf("wait for process %d: %w", l.pid, err)
	}
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	if status.Signaled() {
		return exit{signal: int(status.Signal()), cpu: cpu}, nil
	}
	return exit{code: status.ExitStatus(), cpu: cpu}, nil
}

// kill sends SIGKILL through the pidfd, which cannot reach another process with
// the same number.
func (l *link) kill() error {
	return onDescriptor(l.pidfd, func(fd int) error { return unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) })
}

// maxEvidence limits the evidence in the log, in bytes.
const maxEvidence = 16 << 10

// evidence returns what the runtime wrote before the exit: a panic, a fatal
// error or the stacks of the goroutines.
func (l *link) evidence() string {
	text, err := ipc.ReadCrashFile(l.crash, maxEvidence)
	if err != nil {
		return ""
	}
	return text
}

func (m *Master) applyKill(id policy.ID) {
	w := m.workers[id]
	if w == nil {
		return
	}
	if w.forked && m.standsStill(w) {
		m.killHung(w)
		return
	}
	m.killWorker(w)
}

func (m *Master) killWorker(w *worker) {
	if err := w.kill(); err != nil && !errors.Is(err, unix.ESRCH) {
		m.log.Error("worker not killed", w.about(zap.Error(err))...)
	}
}
