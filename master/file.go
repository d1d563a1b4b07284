package master

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// maxLinks is how many links the kernel follows in a path, too.
const maxLinks = 40

// openOwn opens a file of the server's own: a log or the pid file. If the path
// ends in a symbolic link, the link must be root's or this user's. Otherwise
// whoever can write to the directory could lead a master that runs as root to
// any file.
func openOwned(path string, flags int, perm uint32) (int, error) {
	name := path
	for range maxLinks {
		fd, err := unix.Open(name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, perm)
		switch {
		case err == nil:
			return fd, nil
		case err == unix.EINTR:
			continue
		case err != unix.ELOOP:
			return -1, &os.PathError{Op: "open", Path: path, Err: err}
		}
		target, kernels, err := resolveLink(name)
		if err != nil {
			return -1, err
		}
		if kernels {
			fd, err := unix.Open(name, flags|unix.O_CLOEXEC, perm)
			if err != nil {
				return -1, &os.PathError{Op: "open", Path: path, Err: err}
			}
			return fd, nil
		}
		name = target
	}
	return -1, &os.PathError{Op: "open", Path: path, Err: unix.ELOOP}
}

// followOwn returns where the link at path leads, if its owner may lead there.
// kernels says that only the kernel can follow it: it is in /proc, where
// /dev/stdout leads, and where nobody can put another.
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

// keep looks after a file by which others find this process, until the returned
// function is called: a cleaner of /tmp or the end of a login session may remove
// it. restore makes it anew if it is lost. report hears nil when it was restored,
// and the error when it could not be, once for each error. Both run on a
// goroutine of their own: the owner loop waits for no file system.
func keepFile(every time.Duration, restore func() (restored bool, err error), report func(error)) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		reported := ""
		for {
			select {
			case <-ticker.C:
			case <-done:
				return
			}
			restored, err := restore()
			switch {
			case err == nil:
				reported = ""
				if restored {
					report(nil)
				}
			case err.Error() != reported:
				reported = err.Error()
				report(err)
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}
