package master

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"prefork/ipc"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// openPatience limits how long opening a log file may take at the start. On
// USR1 a longer wait is logged.
const openPatience = 10 * time.Second

// logFile is the file that replaces standard error, or the access log. Opening
// it may wait for a file system that does not respond, so it happens on its own
// goroutine. The owner loop owns the value.
type logFile struct {
	name   string // for errors
	path   string // "" if unused
	open   func(path string) (int, error)
	stderr bool // it replaces standard error

	// done takes the descriptor, or the error, on the owner loop. Until then, and
	// after an error, the old file stays in use.
	done func(m *Master, fd int, err error)

	opening bool // on its own goroutine
	again   bool // another open was requested meanwhile
	retry   bool // at the next sample: the last open failed for lack of a resource
}

// openFirst opens the file when the master starts.
func (l *logFile) openFirst(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, openPatience,
		fmt.Errorf("%s: no answer within %v; does its file system hang?", l.path, openPatience))
	defer cancel()
	fd, err := await(ctx, func() (int, error) { return l.open(l.path) }, func(fd int) { _ = unix.Close(fd) })
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", l.name, err)
	}
	return fd, nil
}

// reopen opens the file again on another goroutine. Requests that come meanwhile
// are merged. While the master lacks descriptors or memory it tries again at
// each sample, and calls done once.
func (m *Master) reopen(l *logFile) {
	if l.opening {
		l.again = true
		return
	}
	l.opening = true
	go func() {
		late := time.AfterFunc(openPatience, func() {
			m.log.Warn("log not opened yet", zap.String("path", l.path), zap.Duration("duration", openPatience))
		})
		fd, err := l.open(l.path)
		if err == nil && l.stderr {
			// Here, because closing the old file may block as well.
			fd, err = 2, replaceStderr(fd)
		}
		late.Stop()
		posted := m.post(func(m *Master) {
			again := l.retry
			l.opening, l.retry = false, isShortage(err)
			if !again || !l.retry {
				l.done(m, fd, err)
			}
			if l.again {
				l.again = false
				m.reopen(l)
			}
		})
		if !posted && err == nil && !l.stderr {
			_ = unix.Close(fd)
		}
	}()
}

// retryLogs opens log files that could not be opened for lack of a resource.
func (m *Master) retryLogs() {
	for _, l := range []*logFile{&m.logFile, &m.access.logFile} {
		if l.retry && !l.opening {
			m.reopen(l)
		}
	}
}

// isShortage reports whether err means that the process or the machine lacks
// descriptors or memory.
func isShortage(err error) bool {
	var errno unix.Errno
	return errors.As(err, &errno) && slices.Contains([]unix.Errno{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS}, errno)
}

// openLog opens or creates a file for appending. It never waits for the reader
// of a named pipe: if nobody reads, the open fails; if the pipe is full, the
// write fails.
func openLog(path string) (int, error) {
	fd, err := openOwned(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_NONBLOCK|unix.O_NOCTTY, 0o640)
	if errors.Is(err, unix.ENXIO) {
		return -1, fmt.Errorf("%w: a named pipe needs a program that reads it", err)
	}
	return fd, err
}

// replaceStderr makes fd descriptor 2, where the runtime also writes its last
// words, and closes fd.
func replaceStderr(fd int) error {
	defer unix.Close(fd)
	if err := unix.Dup3(fd, 2, 0); err != nil {
		return fmt.Errorf("replace standard error: %w", err)
	}
	return nil
}

// accessStdout as Options.AccessLog means the master's standard output.
const accessStdout = "-"

// accessLog is the file that workers append to. The master opens it, because
// workers may not have the rights, and sends them its descriptor. The owner
// loop owns it.
type accessLog struct {
	logFile
	fd int // -1 if there is none
}

func openAccess(path string) (int, error) {
	if path == accessStdout {
		return openStdout()
	}
	return openLog(path)
}

// openStdout returns a descriptor of standard output. A pipe or a terminal is
// opened again, because O_NONBLOCK belongs to the shared description. A file is
// not, because its offset is shared.
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

// accessReopened gives the access log to every worker.
func (m *Master) accessReopened(fd int, err error) {
	if err != nil {
		m.log.Error("access log not reopened", zap.Error(err))
		return
	}
	old := m.access.fd
	m.access.fd = fd
	go func() { _ = unix.Close(old) }() // may block on a network file system
	m.giveOrderToAll(ipc.TypeAccessLog)
	m.log.Info("access log reopened")
}
