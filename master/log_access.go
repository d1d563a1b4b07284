package master

import (
	"os"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// accessStdout as Options.AccessLog is the master's standard output.
const accessStdout = "-"

// accessLog is the file that the workers append their records to. The master
// writes nothing there: it opens the file, because a worker may hold no
// privilege, and hands it out. The owner loop owns it.
type accessLog struct {
	logFile
	fd int // -1 if there is none
}

// openAccess opens the access log.
func openAccess(path string) (int, error) {
	if path == accessStdout {
		return openStdout()
	}
	return openLog(path)
}

// openStdout returns a descriptor of standard output. A pipe or a terminal is
// opened anew, for O_NONBLOCK belongs to the description, which others share.
// Where that is not allowed, and for a file whose offset is shared as well, it
// is the same description.
func openStdout() (int, error) {
	var st unix.Stat_t
	if err := unix.Fstat(1, &st); err != nil {
		return -1, &os.PathError{Op: "inspect", Path: "standard output", Err: err}
	}
	if kind := st.Mode & unix.S_IFMT; kind == unix.S_IFIFO || kind == unix.S_IFCHR {
		fd, err := unix.Open("/proc/self/fd/1", unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		if err == nil {
			return fd, nil
		}
	}
	fd, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return -1, &os.PathError{Op: "duplicate", Path: "standard output", Err: err}
	}
	return fd, nil
}

func (a *accessLog) close() {
	if a.fd >= 0 {
		_ = unix.Close(a.fd)
		a.fd = -1
	}
}

// reopenAccess opens the access log afresh, for every worker.
func (m *Master) reopenAccess() {
	if m.access.path == "" || m.access.path == accessStdout {
		return
	}
	m.reopen(&m.access.logFile, func(m *Master, fd int, err error) {
		if err != nil {
			m.log.Error("access log not reopened", zap.Error(err))
			return
		}
		old := m.access.fd
		m.access.fd = fd
		go func() { _ = unix.Close(old) }() // may write out what a network file system has not yet
		m.giveOrderToAll(ipc.TypeAccessLog)
		m.log.Info("access log reopened")
	})
}
