package master

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// leftovers are pidfds of processes in the service's cgroup that an earlier
// master of the service has started. When their master dies, they finish their
// connections and exit. If one hangs, nobody else ends it: with
// KillMode=process, systemd does not. The owner loop owns the value.
type leftovers []int

// findLeftovers must be called before the master starts a process, and works
// only in the main process of a service: then all others in the cgroup are
// older. With PrivateUsers= they are not in /proc, because each start of the
// service has a new user namespace.
func findLeftovers() (l leftovers) {
	if os.Getenv("SYSTEMD_EXEC_PID") != strconv.Itoa(os.Getpid()) { // systemd 248 and later
		return l
	}
	for _, pid := range readPIDs(serviceProcesses()) {
		if pid == os.Getpid() {
			continue
		}
		// Close-on-exec by nature.
		if fd, err := unix.PidfdOpen(pid, 0); err == nil { // else it has gone since
			l = append(l, fd)
		}
	}
	return l
}

// serviceProcesses returns the file with the processes of this process's cgroup
// if it is a service's, or "".
func serviceProcesses() string {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(text) {
		parts := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		if len(parts) != 3 || !strings.HasSuffix(parts[2], ".service") {
			continue
		}
		var mounts []string
		switch {
		case parts[0] == "0":
			mounts = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}
		case parts[1] == "name=systemd":
			mounts = []string{"/sys/fs/cgroup/systemd"}
		}
		for _, mount := range mounts {
			file := filepath.Join(mount, parts[2], "cgroup.procs")
			if _, err := os.Stat(file); err == nil {
				return file
			}
		}
	}
	return ""
}

// readPIDs reads a list of processes, those of another PID namespace aside, which
// are 0. It is empty if the file cannot be read.
func readPIDs(file string) (pids []int) {
	text, _ := os.ReadFile(file)
	for field := range strings.FieldsSeq(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// killLeftovers kills those that are still there.
func (m *Master) killLeftovers() {
	killed := 0
	for _, p := range m.leftovers.living() {
		if err := unix.PidfdSendSignal(int(p.Fd), unix.SIGKILL, nil, 0); err == nil {
			killed++
		} else if !errors.Is(err, unix.ESRCH) {
			m.log.Error("worker of an earlier master not killed", zap.Error(err))
		}
	}
	if killed > 0 {
		m.log.Warn("workers of an earlier master killed: they did not finish in time", zap.Int("count", killed))
	}
	m.leftovers.close()
}

// closeLeftovers waits for them in an orderly end, since nobody else could end
// them later. A master that could not start leaves them to the next one.
func (m *Master) closeLeftovers() {
	defer m.leftovers.close()
	if m.result == nil {
		return
	}
	if wait := m.result.Leftovers; wait > 0 && len(m.leftovers.living()) > 0 {
		if err := m.notify.Extend(wait + extension); err != nil {
			m.log.Warn("service manager not notified", zap.Error(err))
		}
		m.leftovers.wait(time.Now().Add(wait))
	}
	m.killLeftovers()
}

func (l leftovers) wait(deadline time.Time) {
	for left := time.Until(deadline); left > 0; left = time.Until(deadline) {
		living := l.living()
		if len(living) == 0 {
			return
		}
		// One at a time: a pidfd stays readable once its process has ended.
		_, _ = unix.Poll(living[:1], int(left.Milliseconds())+1) // EINTR: once more
	}
}

// living returns those that have not exited.
func (l leftovers) living() (living []unix.PollFd) {
	for _, fd := range l {
		one := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(one, 0); n == 0 && err == nil || errors.Is(err, unix.EINTR) {
			living = append(living, one[0])
		}
	}
	return living
}

func (l *leftovers) close() {
	for _, fd := range *l {
		_ = unix.Close(fd)
	}
	*l = nil
}
