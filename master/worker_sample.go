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

// sampleWithin brings the next sample forward.
func (m *Master) sampleWithin(d time.Duration) {
	if at := time.Now().Add(d); at.Before(m.sampleAt) {
		m.sampleAt = at
	}
}

// setCalm tells the workers whether samples are rare: then they have to tell the
// master of their next connection.
func (m *Master) setCalm(calm bool) {
	if m.calm == calm {
		return
	}
	m.calm = calm
	word := uint32(0)
	if calm {
		word = 1
	}
	for _, w := range m.workers {
		w.memory.Calm.Store(word)
	}
}

// sample does what is due at each sample, and takes it. It reads /proc and looks
// for files on another goroutine, because a file system may block. If that has not
// returned by the next sample, the old values are used.
func (m *Master) sample() {
	m.sampleAt = time.Now().Add(m.machine.SampleAfter())
	m.repairListeners()
	m.logSuppressed()
	if m.watchdog > 0 {
		m.feed()
	}
	if m.readingProcesses {
		m.takeSample()
		return
	}
	m.readingProcesses = true
	pids := make(map[*link]int, len(m.workers))
	for l := range m.links() {
		pids[l] = l.pid
	}
	read := m.readProcess
	var files map[*listener]*listener
	keepsHouse := m.housekeeping.CompareAndSwap(false, true)
	if keepsHouse {
		files = m.socketFiles()
	}
	go func() { // one for all of them
		seen := make(map[*link]process, len(pids))
		for l, pid := range pids {
			seen[l] = read(pid)
		}
		m.post(func(m *Master) { m.sampled(seen) })
		if keepsHouse {
			m.keepHouse(files)
		}
	}()
}

// sampled takes a sample with what the kernel says about the workers' processes.
func (m *Master) sampled(seen map[*link]process) {
	m.readingProcesses = false
	for l, p := range seen {
		l.setProcess(p)
	}
	m.takeSample()
}

// keepHouse reaps orphans, restores the master's files, and looks whether the
// listeners still have theirs. It is not on the owner loop.
func (m *Master) keepHouse(files map[*listener]*listener) {
	m.reapOrphans()
	for _, k := range m.kept {
		k.check()
	}
	maps.DeleteFunc(files, func(_, file *listener) bool { return file.hasFile() })
	m.housekeeping.Store(false)
	if len(files) > 0 {
		m.post(func(m *Master) { m.lostFiles(files) })
	}
}

// suspiciousSilence is twice the heartbeat interval of an idle worker. A longer
// silence may be that of a suspended process.
const suspiciousSilence = time.Second

// takeSample tells the policy how the workers are.
func (m *Master) takeSample() {
	m.resend()
	samples := make([]policy.Sample, 0, len(m.workers))
	for id, w := range m.workers {
		before := w.counted
		m.count(w)
		beat := w.heartbeat()
		s := policy.Sample{
			ID:     id,
			Active: w.active(),
			Served: w.counted.accepted,
			Worked: w.counted != before,
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

// connectionsWait reports whether a connection waits to be accepted.
func (m *Master) connectionsWait() bool {
	fds := make([]unix.PollFd, 0, len(m.current.listeners))
	for _, l := range m.current.listeners {
		fds = append(fds, unix.PollFd{Fd: int32(l.fd), Events: unix.POLLIN})
	}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// readProcessOf reads the process of a worker that has just become ready, so
// that the status need not wait for the next sample.
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

// setProcess records what the kernel says about the worker's process, unless
// that is gone or another process has its number.
func (l *link) setProcess(p process) {
	if p.started == 0 || l.process.started != 0 && p.started != l.process.started {
		return
	}
	p.cpu = max(p.cpu, l.process.cpu) // never less than before
	l.process = p
}

// process is what the kernel says about a worker's process.
type process struct {
	rss       uint64        // resident bytes
	cpu       time.Duration // processor time, user and system
	suspended bool          // by a signal or a debugger
	started   uint64        // ticks after the machine's start; another process with this number has another value
}

// tick is the unit of times in /proc/PID/stat. USER_HZ is 100 on all
// architectures of Go.
const tick = 10 * time.Millisecond

// readProcess reads proc_pid_stat(5). All is zero if the process is gone.
func readProcess(pid int) process {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}
	}
	// The second field is the name in parentheses, with any characters. Field n
	// of the manual page is fields[n-3].
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
