package master

import (
	"fmt"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/internal/forkexec"
	"prefork/ipc"
	"prefork/master/policy"
	"prefork/systemd"
)

// worker is what the master holds of one process that it started. The owner loop owns it; the
// reader and the exit watcher use only the channel and the pidfd.
type worker struct {
	id         policy.ID
	slot       int
	generation int
	pid        int
	started    time.Time
	born       int64 // the same in ipc.Now's time
	serving    bool  // told to accept, and not to drain since
	memory     *ipc.Slot
	counted    figures // what is believed of memory's
	countedAt  time.Time
	doubted    bool // the log has said that the counters are impossible
	channel    *ipc.Channel
	out        outbox
	crash      int      // memfd with the runtime's last words
	pidfd      *os.File // non-blocking: waits in the netpoller
	report     ipc.Report
	greeted    bool
	stopped    bool        // told to stop
	drained    bool        // it has said so
	cut        int         // connections that it closed at its end, as it said
	process    process     // as it was seen last
	beat       int64       // likewise
	last       []zap.Field // for the log line of its exit
}

// environment returns the workers' environment: ours, marked, without what the
// service manager meant for the master alone.
func environment() []string {
	var env []string
	for _, kv := range systemd.Environ(os.Environ()) {
		if !strings.HasPrefix(kv, ipc.WorkerVariable+"=") {
			env = append(env, kv)
		}
	}
	return append(env, ipc.WorkerVariable+"=1")
}

// image is the running program itself, even if its file was replaced since: a
// half-finished deployment never mixes versions inside a generation.
const image = "/proc/self/exe"

// spawn starts a worker of generation g with the running image. The call takes
// as long as vfork and exec do, about a millisecond.
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

	files := []int{m.null, 1, 2, theirs, m.board.FD(), memoryFD, crash}
	for _, l := range g.listeners {
		files = append(files, l.fd)
	}
	// In a process group of its own, for Ctrl-C reaches the foreground group: the
	// master decides, not each worker.
	pid, pidfd, err := forkexec.Start(image, os.Args, environment(), files)
	if err != nil {
		_ = unix.Close(ours)
		_, _ = unix.Close(crash), memory.Close()
		return nil, fmt.Errorf("start %s: %w", image, err)
	}
	w := &worker{id: id, slot: slot, generation: g.number, pid: pid, started: time.Now(), born: ipc.Now(), crash: crash, memory: memory}
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

// abandon ends and reaps a worker that cannot be watched. It has run for less
// than a millisecond and holds no connection.
func abandon(pid, pidfd int) {
	_ = unix.Kill(pid, unix.SIGKILL)
	_, _ = unix.Wait4(pid, nil, 0, nil)
	if pidfd >= 0 {
		_ = unix.Close(pidfd)
	}
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
