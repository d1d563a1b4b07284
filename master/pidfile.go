package master

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// pidFile is a locked file that holds the master's process id. The lock, not
// the file, says that a master runs: a file left by a crash is taken over.
type pidFile struct {
	path string
	file *os.File
}

// lockPIDFile creates path or takes over one that nobody holds. If another
// master holds it the error says which.
func lockPIDFile(path string) (*pidFile, error) {
	for range 10 {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, fmt.Errorf("open pid file: %w", err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			holder := readPID(f)
			_ = f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("pid file %s is held by %s; stop it or choose another --pid-file", path, holder)
			}
			return nil, fmt.Errorf("lock pid file %s: %w", path, err)
		}
		// The holder before us may have removed the file between our open and
		// our lock: then the lock guards a name that no longer exists.
		if !sameFile(f, path) {
			_ = f.Close()
			continue
		}
		if err := writePID(f); err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("write pid file %s: %w", path, err)
		}
		return &pidFile{path: path, file: f}, nil
	}
	return nil, fmt.Errorf("pid file %s changes under our hands", path)
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
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// remove removes the file, then lets go of the lock: in this order nobody can
// lock a file that is about to vanish without noticing.
func (p *pidFile) remove() {
	if sameFile(p.file, p.path) { // not another master's, after ours was deleted
		_ = os.Remove(p.path)
	}
	_ = p.file.Close()
}
