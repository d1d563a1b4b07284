package master

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// errFileReplaced is the error of a Unix socket whose file is not the one that
// was bound.
var errFileReplaced = errors.New("the file is not the one that was bound")

// takeFile makes the file that bind has just created the listener's own and
// gives it its owner and mode.
func (l *listener) takeFile(a Address) error {
	return withFile(a.Path, func(fd int, st *unix.Stat_t) error {
		// The path may already name another file than the one that bind made.
		// A socket of this user's is the most that can be asked for here.
		if st.Mode&unix.S_IFMT != unix.S_IFSOCK || int(st.Uid) != os.Geteuid() {
			return fmt.Errorf("%s: %w", a.Path, errFileReplaced)
		}
		l.path, l.dev, l.ino = a.Path, st.Dev, st.Ino
		return l.changeFile(fd, st, a)
	})
}

// setFile gives the socket's file the owner and mode that a asks for.
func (l *listener) setFile(a Address) error {
	return withFile(l.path, func(fd int, st *unix.Stat_t) error {
		if st.Dev != l.dev || st.Ino != l.ino {
			return fmt.Errorf("%s: %w", l.path, errFileReplaced)
		}
		return l.changeFile(fd, st, a)
	})
}

// withFile looks the path up once and hands f what it finds there. Whoever may
// write to the directory can put another file or a link there at any moment,
// also between two steps of f, which therefore uses the descriptor alone.
func withFile(path string, f func(fd int, st *unix.Stat_t) error) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("inspect %s: %w", path, err)
	}
	return f(fd, &st)
}

// changeFile changes owner and mode of the file behind fd if they are not what
// a asks for.
func (l *listener) changeFile(fd int, st *unix.Stat_t, a Address) error {
	chown := a.UID >= 0 && uint32(a.UID) != st.Uid || a.GID >= 0 && uint32(a.GID) != st.Gid
	chmod := a.HasMode && a.Mode != st.Mode&0o7777 // the umask may have taken bits away
	if chown {
		if err := unix.Fchownat(fd, "", a.UID, a.GID, unix.AT_EMPTY_PATH); err != nil {
			return fmt.Errorf("change owner of %s: %w", l.path, err)
		}
	}
	if chmod {
		// fchmod(2) takes no O_PATH descriptor, its link in /proc does it.
		if err := unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), a.Mode); err != nil {
			return fmt.Errorf("change mode of %s: %w", l.path, err)
		}
	}
	return nil
}
