package master

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// As PID 1 or as a subreaper the master becomes the parent of processes whose
// own parent has exited, and must reap them, but not children that another part
// of the program waits for: exec.Cmd.Wait would fail with ECHILD. It tells them
// apart by two facts:
//
//   - os/exec and the master have a pidfd of each child until they have waited
//     for it.
//   - Other code (syscall.ForkExec, C) waits at once. So a child without a pidfd
//     that is still a zombie after orphanGrace is an orphan.
//
// Code that waits for a child without a pidfd after that loses its exit status.
const orphanGrace = 2 * time.Second

// inheritsOrphans reports whether this process becomes the parent of processes
// that lose theirs: as the first process of a PID namespace, or as a subreaper.
func inheritsOrphans() bool {
	if os.Getpid() == 1 {
		return true
	}
	var on int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&on)), 0, 0, 0)
	return err == nil && on != 0
}

// reaper reaps orphans. One goroutine at a time uses it.
type reaper struct {
	proc  string            // /proc/self
	seen  map[int]time.Time // zombies that may be orphans, and when each was first seen
	grace time.Duration
}

// reapOrphans looks for orphans, if this process inherits any.
func (m *Master) reapOrphans() {
	if m.orphans == nil {
		return
	}
	for _, pid := range m.orphans.reap(time.Now()) {
		m.log.Info("orphan reaped", zap.Int("pid", pid))
	}
}

// reap reaps zombies that have been orphans for long enough.
func (r *reaper) reap(now time.Time) (reaped []int) {
	if zombie(unix.P_ALL, 0) == 0 {
		r.seen = nil
		return nil
	}
	ours, err := r.waitedFor()
	if err != nil {
		return nil // a zombie is better than a lost exit status
	}
	seen := map[int]time.Time{}
	for _, pid := range r.children() {
		if ours[pid] || zombie(unix.P_PID, pid) == 0 {
			continue
		}
		since, again := r.seen[pid]
		switch {
		case !again:
			seen[pid] = now
		case now.Sub(since) < r.grace:
			seen[pid] = since
		default:
			if got, _ := unix.Wait4(pid, nil, unix.WNOHANG, nil); got == pid {
				reaped = append(reaped, pid)
			}
		}
	}
	r.seen = seen
	return reaped
}

// zombie returns the child, or any child, if it has exited and was not waited
// for, or 0.
func zombie(kind, pid int) int {
	for {
		var info unix.Siginfo
		err := unix.Waitid(kind, pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		switch err {
		case nil:
			return siginfoPID(&info)
		case unix.EINTR:
		default:
			return 0
		}
	}
}

// children lists the children of all threads. Without CONFIG_PROC_CHILDREN it
// is the first zombie.
func (r *reaper) children() (pids []int) {
	files, _ := filepath.Glob(r.proc + "/task/*/children")
	for _, file := range files {
		pids = append(pids, readPIDs(file)...) // when a thread exits, another one gets its children
	}
	if len(files) == 0 {
		pids = []int{zombie(unix.P_ALL, 0)}
	}
	return pids
}

// waitedFor lists the processes of which this process has a pidfd.
func (r *reaper) waitedFor() (map[int]bool, error) {
	entries, err := os.ReadDir(r.proc + "/fdinfo")
	if err != nil {
		return nil, err
	}
	pids := map[int]bool{}
	for _, e := range entries {
		info, err := os.ReadFile(r.proc + "/fdinfo/" + e.Name())
		if errors.Is(err, os.ErrNotExist) {
			continue // closed since
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(info)) {
			if value, found := strings.CutPrefix(line, "Pid:"); found {
				if pid, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
					pids[pid] = true
				}
			}
		}
	}
	return pids, nil
}

// siginfoPID reads si_pid, which x/sys has in the padding: it follows si_signo,
// si_errno and si_code, aligned to a word.
func siginfoPID(info *unix.Siginfo) int {
	const offset = (3*4 + unsafe.Sizeof(uintptr(0)) - 1) &^ (unsafe.Sizeof(uintptr(0)) - 1)
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}
