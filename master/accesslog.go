package master

import (
	"fmt"
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
	path string // "" if there is none
	fd   int    // -1 if there is none
}

// open opens the file afresh. On error the one that is open stays.
func (a *accessLog) open() error {
	fd, err := openAccess(a.path)
	if err != nil {
		return fmt.Errorf("open access log: %w", err)
	}
	a.close()
	a.fd = fd
	return nil
}

// openAccess opens without waiting, now or in a write: a named pipe that nobody
// reads is an error here, and one that nobody empties is one in the worker. To
// a regular file the flag means nothing.
func openAccess(path string) (int, error) {
	if path == accessStdout {
		return openStdout()
	}
	const flags = unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOCTTY
	fd, err := unix.Open(path, flags, 0o640)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
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

// sendAccess hands the access log to a worker, if there is one.
func (m *Master) sendAccess(w *worker) {
	if m.access.fd >= 0 {
		m.send(w, &ipc.AccessLog{}, m.access.fd)
	}
}

// reopenAccess opens the access log afresh, for every worker.
func (m *Master) reopenAccess() {
	if m.access.path == "" || m.access.path == accessStdout {
		return
	}
	if err := m.access.open(); err != nil {
		m.log.Error("access log not reopened", zap.Error(err))
		return
	}
	for _, w := range m.workers {
		m.sendAccess(w)
	}
	m.log.Info("access log reopened")
}
