package master

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/master/policy"
)

// A copy of a runtime may stand still although the program has no fault. That costs
// one connection, because the worker is killed as each other one that is silent. If it
// happens more often, the workers are executed.
const (
	hungMost  = 3   // in a minute
	hungShare = 100 // one of so many that were forked in this minute
)

// hungRate counts what happened in the last minute.
type hungRate [6]struct {
	period       int64 // of ten seconds each
	forked, hung int
}

const hungPeriod = 10 * time.Second

func (r *hungRate) add(now time.Duration, forked, hung int) {
	period := int64(now / hungPeriod)
	b := &r[period%int64(len(r))]
	if b.period != period {
		b.period, b.forked, b.hung = period, 0, 0
	}
	b.forked += forked
	b.hung += hung
}

func (r *hungRate) sum(now time.Duration) (forked, hung int) {
	for _, b := range r {
		if int64(now/hungPeriod)-b.period < int64(len(r)) {
			forked, hung = forked+b.forked, hung+b.hung
		}
	}
	return forked, hung
}

// tooMany reports whether more workers hang than a fault of their handlers explains.
func (r *hungRate) tooMany(now time.Duration) (why string, yes bool) {
	forked, hung := r.sum(now)
	return fmt.Sprintf("%d of %d forked workers hung within a minute", hung, forked), hung > hungMost && hung*hungShare > forked
}

// standsStill reports whether nothing moves in a worker. One that was stopped or drained
// in vain, and whose loop runs, is not meant.
func (m *Master) standsStill(w *worker) bool {
	beat := w.heartbeat()
	return !w.process.suspended && (beat == 0 || m.clock.silence(beat) > policy.MinWorkerTimeout)
}

// killHung counts a forked worker that stands still, and kills it after its state is
// written down.
func (m *Master) killHung(w *worker) {
	m.forks.Hung++
	if g := m.generations[w.generation]; g != nil && g.forking != nil {
		g.forking.recent.add(m.now(), 0, 1)
		if why, yes := g.forking.recent.tooMany(m.now()); yes {
			m.stopForking(g.forking, why)
		}
	}
	go func() {
		threads := threadsOf(w.pid)
		m.post(func(*Master) { w.exitFields = append(w.exitFields, zap.String("threads", threads)) })
		_ = w.abort()
		m.post(func(m *Master) { m.killWorker(w) })
	}()
}

// abortTime is how long Go's runtime may take to write the stacks of its goroutines.
const abortTime = 300 * time.Millisecond

// abort lets the runtime of a process write its stacks into the crash file. The handler
// of a signal may still run where nothing else does.
func (l *link) abort() error {
	return onDescriptor(l.pidfd, func(fd int) error {
		if err := unix.PidfdSendSignal(fd, unix.SIGABRT, nil, 0); err != nil {
			return err
		}
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(abortTime.Milliseconds()))
		return err
	})
}

// threadsOf tells what each thread of a process does in the kernel: the number of its
// system call and where it waits.
func threadsOf(pid int) string {
	const most = 16
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	var all []string
	for _, task := range tasks[:min(len(tasks), most)] {
		call, _ := os.ReadFile(task + "/syscall")
		place, _ := os.ReadFile(task + "/wchan")
		number, _, _ := bytes.Cut(bytes.TrimSpace(call), []byte(" "))
		all = append(all, fmt.Sprintf("%s: syscall %s in %s", filepath.Base(task), number, place))
	}
	return strings.Join(all, "; ")
}
