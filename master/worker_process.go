package master

import (
	"bytes"
	"maps"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"prefork/master/policy"
)

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

// sample looks at the workers, and first at their processes and at the files of
// the listeners: off the owner loop, for a file system may keep a reader waiting.
// If it still does at the next sample the policy is told what was last seen.
func (m *Master) sample() {
	m.repairListeners()
	m.logUnsaid()
	if m.reading {
		m.takeSample()
		return
	}
	m.reading = true
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
			m.reading = false
			m.lostFiles(files)
			for id, p := range seen {
				if w := m.workers[id]; w != nil {
					w.see(p)
				}
			}
			m.takeSample()
		})
	}()
}

// look reads what the kernel says of a worker that has just become ready, so
// that the status has its figures before the next sample. One that serves one
// connection is not worth it.
func (m *Master) look(w *worker) {
	if g := m.generations[w.generation]; g == nil || g.config.Policy.OneShot {
		return
	}
	read := m.readProcess
	go func() {
		p := read(w.pid)
		m.post(func(m *Master) {
			if m.workers[w.id] == w {
				w.see(p)
			}
		})
	}()
}

// see notes what the kernel says of the worker's process, unless it is gone or
// the number is another's by now.
func (w *worker) see(p process) {
	if p.started == 0 || w.process.started != 0 && p.started != w.process.started {
		return
	}
	p.cpu = max(p.cpu, w.process.cpu) // it never goes back
	w.process = p
}

// ownCPU returns the processor time of this process.
func ownCPU() time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
