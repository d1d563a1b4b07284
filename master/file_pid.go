package master

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// pidFile is a locked file with the master's process ID. The lock means that a
// master runs; a file without a lock is taken over.
//
// It is an exclusive lock of fcntl(2), which needs a writable descriptor: with
// flock(2), anybody who may read the file could keep a server from starting.
type pidFile struct {
	path string
	file *os.File
}

// The reasons for which a file cannot be locked.
var (
	errHeld     = errors.New("another process holds it")
	errReadLock = errors.New("another process has locked it for reading")
	errUnlocked = errors.New("its lock was released")
)

// lockPIDFile creates path, or takes over a file that no master has locked. The
// error names the master that has.
func lockPIDFile(path string) (*pidFile, error) {
	for range 10 {
		// Others may read a new file only once it is locked: see writePID.
		fd, err := openOwned(path, unix.O_RDWR|unix.O_CREAT|unix.O_NONBLOCK, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open pid file: %w", err)
		}
		f := os.NewFile(uintptr(fd), path)
		err = lockFile(f)
		// The last holder may have removed the file between our open and our
		// lock: then another file has the name.
		named := sameFile(f, path)
		if err == nil && named {
			if err = writePID(f); err == nil {
				return &pidFile{path: path, file: f}, nil
			}
		}
		if errors.Is(err, errReadLock) && named {
			// A master's lock is exclusive, so this file is a dead one's, and
			// another process has locked it for reading. It cannot lock a new file.
			if err = os.Remove(path); err == nil {
				err = errUnlocked
			}
		}
		pid := readPID(f)
		_ = f.Close()
		switch {
		case errors.Is(err, errHeld):
			return nil, fmt.Errorf("pid file %s is held by %s; stop it or choose another --pid-file", path, pid)
		case err != nil && named && !errors.Is(err, errUnlocked):
			return nil, fmt.Errorf("lock pid file %s: %w", path, err)
		}
	}
	return nil, fmt.Errorf("pid file %s changes all the time", path)
}

// lockFile locks a regular file exclusively.
func lockFile(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
	if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
		return err
	}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
		return err
	}
	switch lock.Type {
	case unix.F_WRLCK:
		return errHeld
	case unix.F_RDLCK:
		return errReadLock
	}
	return errUnlocked
}

func readPID(f *os.File) string {
	buf := make([]byte, 32)
	n, _ := f.ReadAt(buf, 0)
	if pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n]))); err == nil {
		return "process " + strconv.Itoa(pid)
	}
	return "another process"
}

func sameFile(f *os.File, path string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(open, named)
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return err
	}
	_ = f.Chmod(0o644) // one that is another user's keeps its mode
	return nil
}

// restore creates the file again, or takes it over, if it was removed or
// replaced.
func (p *pidFile) restore() (restored bool, err error) {
	if sameFile(p.file, p.path) {
		return false, nil
	}
	next, err := lockPIDFile(p.path)
	if err != nil {
		return false, err
	}
	_ = p.file.Close()
	p.file = next.file
	return true, nil
}

// remove removes the file and then unlocks it. In the other order somebody
// could lock a file that is about to vanish.
func (p *pidFile) remove() {
	if sameFile(p.file, p.path) { // not another master's, after ours was deleted
		_ = os.Remove(p.path)
	}
	_ = p.file.Close()
}

func (m *Master) keepPIDFile(p *pidFile) (stop func()) {
	return m.keep(p.restore, func(err error) {
		if err != nil {
			m.log.Warn("pid file not restored", zap.Error(err))
			return
		}
		m.log.Warn("pid file restored", zap.String("path", p.path))
	})
}

// keep restores a file at each sample until stop is called. It must be called
// before the owner loop runs.
func (m *Master) keep(restore func() (restored bool, err error), report func(error)) (stop func()) {
	k := &keptFile{restore: restore, report: report}
	m.kept = append(m.kept, k)
	return k.stop
}
