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

func (b *binder) bindUnix(w socketSpec) (*listener, error) {
	var ours []*listener
	for l, k := range b.kept {
		if !k.reusable() && k.matches(w) {
			_ = unix.Unlink(w.Path) // no client can reach it
		}
		ours = append(ours, l)
	}
	return bindUnix(w.Address, ours...)
}

// bindUnix binds a stream socket, which does not listen yet. It replaces a file
// that a dead server left, but no socket of a live one and no other file. ours
// are our own sockets, which may have had the path before.
func bindUnix(a Address, ours ...*listener) (*listener, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", a.Name, err)
	}
	ipc.RefuseDescriptors(fd) // before a client can reach it
	l := &listener{name: a.Name, network: "unix", address: a.Path, fd: fd}
	abstract := a.Path[0] == '@'
	if a.HasMode && !abstract {
		// On Linux the file gets the socket's mode at bind, so it never has
		// another one.
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

// bindPath binds fd to path and replaces a dead server's file. It holds a lock
// on the directory from the look to the bind, so that of several servers that
// start at once one gets the path.
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

// lockPatience is how long to wait for the lock on a directory. Servers hold it
// for less than a millisecond.
const lockPatience = 200 * time.Millisecond

// lockDirectory locks a directory against other servers and returns the unlock
// function. There is no lock if the directory cannot be read, or if somebody
// else holds it for long, as anybody may who can read it.
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

// removeStale removes the socket of a dead server. Anything else there is an
// error.
func removeStale(path string, ours []*listener) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is not a socket; remove it or choose another path", path)
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

// boundToPath reports whether another server has bound a socket to path that does
// not listen yet. If /proc is hidden, the answer is no.
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

// What /proc/net/unix has for a socket that is only bound. Connections of a dead
// server's workers have the path as well, and so has its socket after a shutdown.
const (
	neverListened = "00000000" // no __SO_ACCEPTCON
	unconnected   = "01"
)

// errFileReplaced means that the file of a Unix socket is not the one that was
// bound.
var errFileReplaced = errors.New("the file is not the one that was bound")

// takeFile records the file that bind has created, and sets its owner and mode.
func (l *listener) takeFile(a Address) error {
	return withFile(a.Path, func(fd int, st *unix.Stat_t) error {
		// The file may already have been replaced. It is only known that it must
		// be a socket of this user.
		if st.Mode&unix.S_IFMT != unix.S_IFSOCK || int(st.Uid) != os.Geteuid() {
			return fmt.Errorf("%s: %w", a.Path, errFileReplaced)
		}
		l.path, l.dev, l.ino = a.Path, st.Dev, st.Ino
		return l.changeFile(fd, st, a)
	})
}

// setFile sets the owner and mode of the socket's file.
func (l *listener) setFile(a Address) error {
	return withFile(l.path, func(fd int, st *unix.Stat_t) error {
		if st.Dev != l.dev || st.Ino != l.ino {
			return fmt.Errorf("%s: %w", l.path, errFileReplaced)
		}
		return l.changeFile(fd, st, a)
	})
}

// withFile opens path once and calls f with the descriptor. Somebody who can
// write to the directory may replace the file at any time, so f must not use
// the path.
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

// changeFile changes owner and mode of the file behind fd to what a configures.
func (l *listener) changeFile(fd int, st *unix.Stat_t, a Address) error {
	chown := a.UID >= 0 && uint32(a.UID) != st.Uid || a.GID >= 0 && uint32(a.GID) != st.Gid
	chmod := a.HasMode && a.Mode != st.Mode&0o7777 // the umask may have removed bits
	if chown {
		if err := unix.Fchownat(fd, "", a.UID, a.GID, unix.AT_EMPTY_PATH); err != nil {
			return fmt.Errorf("change owner of %s: %w", l.path, err)
		}
	}
	if chmod {
		// fchmod(2) refuses an O_PATH descriptor.
		if err := unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), a.Mode); err != nil {
			return fmt.Errorf("change mode of %s: %w", l.path, err)
		}
	}
	return nil
}
