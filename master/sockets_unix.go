package master

import (
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// UnixSocket is a net.Listener on a Unix socket whose file can be restored. Any
// goroutine may use it.
type UnixSocket struct {
	address Address

	mu      sync.Mutex // guards what follows
	socket  *listener
	accepts net.Listener // of a copy of the socket's descriptor
	closed  bool
}

// ListenUnix binds a socket and gives its file that mode. It replaces a dead
// server's file. The error wraps unix.EADDRINUSE if another server is there.
func ListenUnix(path string, mode os.FileMode) (*UnixSocket, error) {
	address, err := ParseAddress("unix://" + path)
	if err != nil {
		return nil, &ConfigError{err}
	}
	address.Mode, address.HasMode = uint32(mode.Perm()), true
	u := &UnixSocket{address: address}
	return u, u.bind()
}

// bind makes a new socket, instead of the old one if there is one.
func (u *UnixSocket) bind() error {
	u.mu.Lock()
	old := u.socket
	u.mu.Unlock()
	socket, err := bindUnix(u.address, old)
	if err != nil {
		return err
	}
	var accepts net.Listener
	if err = socket.listen(DefaultBacklog, nil); err == nil {
		accepts, err = socket.netListener()
	}
	if err != nil {
		socket.close()
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		socket.close()
		return accepts.Close()
	}
	if u.socket != nil {
		_ = u.accepts.Close() // Accept goes on with the new one
		u.socket.close()
	}
	u.socket, u.accepts = socket, accepts
	return nil
}

// Keep restores the socket if its file is removed or replaced, until stop is
// called. It calls report with nil after that, and with each new error once.
// Call Keep once.
func (u *UnixSocket) Keep(every time.Duration, report func(error)) (stop func()) {
	k := &keptFile{restore: u.restore, report: report}
	done := make(chan struct{})
	go func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				k.check()
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		k.stop()
	}
}

func (u *UnixSocket) restore() (restored bool, err error) {
	u.mu.Lock()
	reachable := u.closed || u.socket.hasFile()
	u.mu.Unlock()
	if reachable {
		return false, nil
	}
	// The end of a login session removes the directory as well.
	_ = os.Mkdir(filepath.Dir(u.address.Path), 0o700) // bind returns the error
	err = u.bind()
	return err == nil, err
}

// Accept implements net.Listener.
func (u *UnixSocket) Accept() (net.Conn, error) {
	for {
		u.mu.Lock()
		accepts := u.accepts
		u.mu.Unlock()
		c, err := accepts.Accept()
		if err == nil {
			return c, nil
		}
		u.mu.Lock()
		replaced := accepts != u.accepts
		u.mu.Unlock()
		if !replaced {
			return nil, err
		}
	}
}

// Close implements net.Listener. It removes the file if it is still the
// socket's.
func (u *UnixSocket) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return net.ErrClosed
	}
	u.closed = true
	u.socket.close()
	return u.accepts.Close()
}

// Addr implements net.Listener.
func (u *UnixSocket) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: u.address.Path} }

// netListener returns a net.Listener for a copy of the descriptor. The caller
// closes both.
func (l *listener) netListener() (net.Listener, error) {
	fd, err := unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(fd), l.name)
	defer f.Close()
	return net.FileListener(f)
}
