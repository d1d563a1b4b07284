package master

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// bindUnix binds a stream socket. A file that a dead server left is replaced;
// one that answers, or that is no socket, is not.
func bindUnix(a Address, backlog int) (*listener, error) {
	abstract := a.Path[0] == '@'
	if !abstract {
		if err := removeStale(a.Path); err != nil {
			return nil, fmt.Errorf("bind %s: %w", a.Name, err)
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", a.Name, err)
	}
	ipc.RefuseDescriptors(fd) // before a client can reach it
	l := &listener{name: a.Name, network: "unix", address: a.Path, fd: fd}
	if a.HasMode && !abstract {
		// On Linux the file takes its mode from the socket at bind, so there
		// is no moment at which it is open to more than it should be.
		err = unix.Fchmod(fd, a.Mode)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: a.Path})
	}
	if err == nil && !abstract {
		err = l.takeFile(a)
	}
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		l.close()
		return nil, bindError(a.Name, err)
	}
	return l, nil
}

// removeStale removes a socket file that nobody listens on any more.
func removeStale(path string) error {
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
	case errors.Is(err, unix.ECONNREFUSED):
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	case errors.Is(err, unix.ENOENT):
		return nil
	case err == nil, errors.Is(err, unix.EAGAIN): // EAGAIN: alive, with a full queue
		return fmt.Errorf("%s is in use by another server: %w", path, unix.EADDRINUSE)
	}
	return fmt.Errorf("probe %s: %w", path, err)
}
