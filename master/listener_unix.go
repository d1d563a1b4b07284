package master

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// bindUnix opens a socket that w asks for.
func (b *binder) bindUnix(w socketSpec) (*listener, error) {
	var ours []*listener
	for l, k := range b.kept {
		if !k.reusable && k.matches(w) {
			_ = unix.Unlink(w.Path) // nobody can reach it
		}
		ours = append(ours, l)
	}
	return bindUnix(w.Address, ours...)
}

// bindUnix binds a stream socket, which does not listen yet. A file that a dead
// server left is replaced; one whose server lives, or that is no socket, is not.
// Our own sockets, which may have had the path before, are no other server's.
func bindUnix(a Address, ours ...*listener) (*listener, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", a.Name, err)
	}
	ipc.RefuseDescriptors(fd) // before a client can reach it
	l := &listener{name: a.Name, network: "unix", address: a.Path, fd: fd}
	abstract := a.Path[0] == '@'
	if a.HasMode && !abstract {
		// On Linux the file takes its mode from the socket at bind, so there
		// is no moment at which it is open to more than it should be.
		err = unix.Fchmod(fd, a.Mode)
	}
	if err == nil {
		err = bindPath(fd, a.Path, ours)
	}
	if err == nil && !abstract {
		err = l.takeFile(a)
	}
	if err != nil {
		l.close()
		return nil, bindError(&socketSpec{served: served{Address: a}}, err)
	}
	return l, nil
}

// bindPath binds fd to path, in place of a file that a dead server has left. Of
// several servers that start at once one has it: to look, to remove and to bind
// is one step under the directory's lock.
func bindPath(fd int, path string, ours []*listener) error {
	bind := func() error { return unix.Bind(fd, &unix.SockaddrUnix{Name: path}) }
	if path[0] == '@' {
		return bind()
	}
	defer lockDirectory(filepath.Dir(path))()
	if err := removeStale(path, ours); err != nil {
		return err
	}
	return bind()
}

// lockPatience is how long the holder of a directory's lock is waited for: a
// server needs it for less than a millisecond.
const lockPatience = 200 * time.Millisecond

// lockDirectory locks a directory against other servers, and returns what
// unlocks it. There is no lock where the directory cannot be read, nor against
// a process that holds it for long, which anybody may who can read it.
func lockDirectory(path string) (unlock func()) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return func() {}
	}
	for begun := time.Now(); time.Since(begun) < lockPatience; time.Sleep(time.Millisecond) {
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return func() { _ = unix.Close(fd) }
}

// removeStale removes the socket of a server that is gone. It returns an error
// if anything else is there.
func removeStale(path string, ours []*listener) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is no socket; remove it or choose another path", path)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.ECONNREFUSED): // dead, or bound and not listening yet
		if boundToPath(path, ours) {
			return fmt.Errorf("%s is in use by another server that is starting: %w", path, unix.EADDRINUSE)
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	case err == nil, errors.Is(err, unix.EAGAIN): // EAGAIN: alive, with a full queue
		return fmt.Errorf("%s is in use by another server: %w", path, unix.EADDRINUSE)
	}
	return fmt.Errorf("probe %s: %w", path, err)
}

// boundToPath says whether another server has a socket that was bound to path
// and does not listen yet. Where /proc is hidden from a service nobody knows.
func boundToPath(path string, ours []*listener) bool {
	f, err := os.Open("/proc/self/net/unix")
	if err != nil {
		return false
	}
	defer f.Close()
	except := map[string]bool{}
	for _, l := range ours {
		var st unix.Stat_t
		if l != nil && unix.Fstat(l.fd, &st) == nil {
			except[strconv.FormatUint(st.Ino, 10)] = true
		}
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// Num RefCount Protocol Flags Type St Inode Path, which has what spaces it has.
		head, found := strings.CutSuffix(lines.Text(), " "+path)
		if !found {
			continue
		}
		fields := strings.Fields(head)
		if len(fields) == 7 && fields[3] == neverListened && fields[5] == unconnected && !except[fields[6]] {
			return true
		}
	}
	return false
}

// What /proc/net/unix says of a socket that is only bound. A connection that a
// dead server's workers still serve has the path as well, and so has its socket
// that is shut down.
const (
	neverListened = "00000000" // no __SO_ACCEPTCON
	unconnected   = "01"
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
