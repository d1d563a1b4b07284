package master

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"prefork/ipc"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// openPatience is how long a log file's open may take at the start, and when
// the log tells of one that takes longer at USR1.
const openPatience = 10 * time.Second

// logFile is a file that logs go to: the one that takes the place of standard
// error, or the access log. An open may wait for a file system that does not
// answer, so that it has a goroutine of its own. The owner loop owns the value.
type logFile struct {
	name   string // for errors
	path   string // "" if there is none
	open   func(path string) (int, error)
	stderr bool // it takes the place of standard error

	opening bool // off the owner loop
	again   bool // asked for meanwhile

	retry func() // at the next sample: the master lacked what an open needs; nil if it did not
}

// openFirst opens the file at the start of the master.
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

// reopen opens the file afresh, off the owner loop, and hands it to done, on the
// owner loop. The file that is open stays in use until then, and after an error.
// Orders that come meanwhile become one. While the master lacks descriptors or
// memory the file is opened again at each sample, and done hears of that once.
func (m *Master) reopen(l *logFile, done func(m *Master, fd int, err error)) {
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
			// Here, for the end of the old file may have to wait as well.
			fd, err = 2, replaceStderr(fd)
		}
		late.Stop()
		posted := m.post(func(m *Master) {
			l.opening = false
			told := l.retry != nil
			l.retry = nil
			if isShortage(err) {
				l.retry = func() { m.reopen(l, done) }
			}
			if l.retry == nil || !told {
				done(m, fd, err)
			}
			if l.again {
				l.again = false
				m.reopen(l, done)
			}
		})
		if !posted && err == nil && !l.stderr {
			_ = unix.Close(fd)
		}
	}()
}

// retryLogs opens the log files again that could not be opened for a lack of
// descriptors or memory.
func (m *Master) retryLogs() {
	for _, l := range []*logFile{&m.logFile, &m.access.logFile} {
		if l.retry != nil && !l.opening {
			l.retry()
		}
	}
}

// lacks says whether err is of what this process or the machine lacks for the
// moment.
func isShortage(err error) bool {
	for _, errno := range []unix.Errno{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// openLog opens a file for appending, and makes it if there is none. It does
// not wait for a reader, neither now nor in a write: a named pipe that nobody
// reads is an error here, and one that nobody empties is one in the write. To a
// regular file O_NONBLOCK means nothing.
func openLog(path string) (int, error) {
	fd, err := openOwned(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_NONBLOCK|unix.O_NOCTTY, 0o640)
	if errors.Is(err, unix.ENXIO) {
		return -1, fmt.Errorf("%w: a named pipe needs a program that reads it", err)
	}
	return fd, err
}

// replaceStderr puts fd in place of descriptor 2, where the runtime's last words
// go too, and closes it.
func replaceStderr(fd int) error {
	defer unix.Close(fd)
	if err := unix.Dup3(fd, 2, 0); err != nil {
		return fmt.Errorf("replace standard error: %w", err)
	}
	return nil
}

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
