package master

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxLinks is the kernel's limit as well.
const maxLinks = 40

// openOwned opens a file of the server, such as a log or the pid file. If it is
// a symbolic link, root or this user must own the link: otherwise somebody who
// can write to the directory could make a master that runs as root write to any
// file.
func openOwned(path string, flags int, perm uint32) (int, error) {
	name, nofollow := path, unix.O_NOFOLLOW
	for range maxLinks {
		fd, err := unix.Open(name, flags|nofollow|unix.O_CLOEXEC, perm)
		switch {
		case err == nil:
			return fd, nil
		case err == unix.EINTR:
			continue
		case err != unix.ELOOP:
			return -1, &os.PathError{Op: "open", Path: path, Err: err}
		}
		target, kernels, err := resolveLink(name)
		switch {
		case err != nil:
			return -1, err
		case kernels:
			nofollow = 0
		default:
			name = target
		}
	}
	return -1, &os.PathError{Op: "open", Path: path, Err: unix.ELOOP}
}

// resolveLink returns the target of the link at path if its owner is allowed to
// set it. kernels means that it is a link in /proc, such as the target of
// /dev/stdout, which only the kernel can follow and nobody can replace.
func resolveLink(path string) (target string, kernels bool, err error) {
	err = withFile(path, func(fd int, st *unix.Stat_t) error {
		if st.Mode&unix.S_IFMT != unix.S_IFLNK {
			target = path // no link any more
			return nil
		}
		if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
			return fmt.Errorf("%s is a symbolic link of user %d; only links of root and of the server's own user are followed", path, st.Uid)
		}
		var fs unix.Statfs_t
		if err := unix.Fstatfs(fd, &fs); err != nil {
			return fmt.Errorf("inspect %s: %w", path, err)
		}
		if kernels = fs.Type == unix.PROC_SUPER_MAGIC; kernels {
			return nil
		}
		text := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(fd, "", text)
		if err != nil {
			return fmt.Errorf("read link %s: %w", path, err)
		}
		target = string(text[:n])
		if !filepath.IsAbs(target) {
			target = filepath.Dir(path) + "/" + target // not cleaned: .. after a link means the link's target
		}
		return nil
	})
	return target, kernels, err
}

// onDescriptor calls f with the descriptor of c, which nobody can close
// meanwhile.
func onDescriptor(c syscall.Conn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	if closed := raw.Control(func(fd uintptr) { err = f(int(fd)) }); closed != nil {
		return closed
	}
	return err
}

// keptFile restores a file that identifies this process when it is lost: a cleaner
// of /tmp or the end of a login session may remove it. The owner loop waits for no
// file system, so another goroutine calls check.
type keptFile struct {
	restore func() (restored bool, err error)
	report  func(error) // gets nil after the file was restored, and each new error once

	mu       sync.Mutex // guards what follows
	stopped  bool
	reported string
}

func (k *keptFile) check() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return
	}
	restored, err := k.restore()
	switch {
	case err == nil:
		k.reported = ""
		if restored {
			k.report(nil)
		}
	case err.Error() != k.reported:
		k.reported = err.Error()
		k.report(err)
	}
}

// stop waits for a check that runs. Later ones do nothing.
func (k *keptFile) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
}
