package master

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	type opened struct {
		fd  int
		err error
	}
	done := make(chan opened)
	given := make(chan struct{}) // closed when nobody waits any more
	defer close(given)
	go func() {
		fd, err := l.open(l.path)
		select {
		case done <- opened{fd, err}:
		case <-given:
			if err == nil {
				_ = unix.Close(fd)
			}
		}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, openPatience,
		fmt.Errorf("%s: no answer within %v; does its file system hang?", l.path, openPatience))
	defer cancel()
	select {
	case o := <-done:
		if o.err != nil {
			return -1, fmt.Errorf("open %s: %w", l.name, o.err)
		}
		return o.fd, nil
	case <-ctx.Done():
		return -1, fmt.Errorf("open %s: %w", l.name, context.Cause(ctx))
	}
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
