package master

import (
	"bytes"
	"maps"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/master/policy"
)

// uneasy is the silence after which it matters whether a worker is suspended:
// twice what an idle one needs.
const suspiciousSilence = time.Second

// takeSample tells the policy how the workers fare.
func (m *Master) takeSample() {
	m.resend()
	samples := make([]policy.Sample, 0, len(m.workers))
	for id, w := range m.workers {
		m.count(w)
		beat := w.heartbeat()
		s := policy.Sample{
			ID:     id,
			Active: w.active(),
			Served: w.counted.accepted,
			Beaten: beat != w.lastBeat,
			Silent: w.silence(),
			Full:   w.serving && ipc.WorkerState(w.memory.State.Load()) == ipc.Paused,
		}
		w.lastBeat = beat
		s.Suspended = s.Silent > suspiciousSilence && w.process.suspended
		if w.outbox.full && !w.process.suspended {
			s.Stuck = m.now() - w.outbox.since
		}
		if m.current.config.Policy.RecycleRSS > 0 {
			s.RSS = w.process.rss
		}
		samples = append(samples, s)
	}
	m.updatePeers()
	m.step(policy.Sampled{Samples: samples, Waiting: m.connectionsWait()})
	m.retryLogs()
	m.notifyProgress()
}

// connectionsWait says whether a connection waits at one of the listeners.
func (m *Master) connectionsWait() bool {
	fds := make([]unix.PollFd, 0, len(m.current.listeners))
	for _, l := range m.current.listeners {
		fds = append(fds, unix.PollFd{Fd: int32(l.fd), Events: unix.POLLIN})
	}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// sample looks at the workers, and first at their processes and at the files of
// the listeners: off the owner loop, for a file system may keep a reader waiting.
// If it still does at the next sample the policy is told what was last seen.
func (m *Master) sample() {
	m.repairListeners()
	m.logSuppressed()
	if m.readingProcesses {
		m.takeSample()
		return
	}
	m.readingProcesses = true
	pids := make(map[policy.ID]int, len(m.workers))
	for id, w := range m.workers {
		pids[id] = w.pid
	}
	read, files := m.readProcess, m.socketFiles()
	go func() { // one for all of them
		seen := make(map[policy.ID]process, len(pids))
		for id, pid := range pids {
			seen[id] = read(pid)
		}
		maps.DeleteFunc(files, func(_, file *listener) bool { return file.hasFile() })
		m.post(func(m *Master) {
			m.readingProcesses = false
			m.lostFiles(files)
			for id, p := range seen {
				if w := m.workers[id]; w != nil {
					w.setProcess(p)
				}
			}
			m.takeSample()
		})
	}()
}

// look reads what the kernel says of a worker that has just become ready, so
// that the status has its figures before the next sample. One that serves one
// connection is not worth it.
func (m *Master) readProcessOf(w *worker) {
	if g := m.generations[w.generation]; g == nil || g.config.Policy.OneShot {
		return
	}
	read := m.readProcess
	go func() {
		p := read(w.pid)
		m.post(func(m *Master) {
			if m.workers[w.id] == w {
				w.setProcess(p)
			}
		})
	}()
}

// see notes what the kernel says of the worker's process, unless it is gone or
// the number is another's by now.
func (w *worker) setProcess(p process) {
	if p.started == 0 || w.process.started != 0 && p.started != w.process.started {
		return
	}
	p.cpu = max(p.cpu, w.process.cpu) // it never goes back
	w.process = p
}

// process is what the kernel says of a worker's process.
type process struct {
	rss       uint64        // resident bytes
	cpu       time.Duration // processor time, user and system
	suspended bool          // stopped by a signal or held by a tracer: it cannot run
	started   uint64        // in ticks since the machine's start; tells it from a later one of the same number
}

// tick is the unit of the times in /proc/PID/stat: the kernel's USER_HZ is 100
// on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// readProcess reads proc_pid_stat(5); all is zero if the process is gone.
func readProcess(pid int) process {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}
	}
	// The second field is the name in parentheses, and may hold anything. What
	// the manual page calls field n is fields[n-3].
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 22 {
		return process{}
	}
	number := func(n int) uint64 {
		v, err := strconv.ParseUint(string(fields[n-3]), 10, 63)
		if err != nil {
			return 0
		}
		return v
	}
	return process{
		rss:       number(24) * uint64(os.Getpagesize()),
		cpu:       time.Duration(number(14)+number(15)) * tick,
		suspended: bytes.EqualFold(fields[0], []byte("t")),
		started:   number(22),
	}
}

// ownCPU returns the processor time of this process.
func ownCPU() time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
