package systemd

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultWait is how long a notification waits for room, unless
// Notifier.Wait says otherwise.
const DefaultWait = 100 * time.Millisecond

// ErrBusy is wrapped by the error of a notification that found the manager's
// socket full for as long as Notifier.Wait. The message is lost.
var ErrBusy = errors.New("the manager does not read its notification socket")

// Notifier sends notifications as sd_notify(3) describes. Its methods may be
// called from any goroutine, and messages of one goroutine arrive in order.
//
// A nil Notifier, and one made without NOTIFY_SOCKET, check their arguments
// and send nothing, so the same code runs outside systemd.
type Notifier struct {
	// Wait bounds how long a message waits for room in the manager's queue;
	// 0 is DefaultWait, negative not at all. It must not change once the
	// Notifier is in use.
	Wait time.Duration

	address *unix.SockaddrUnix
	socket  *os.File // a connected datagram socket; nil if there is no manager
}

// NewNotifier makes a Notifier for the socket named by NOTIFY_SOCKET. Without
// that variable the Notifier is disabled, which is no error. A service that
// cannot reach its manager may log the error and go on with the nil Notifier.
//
// The Notifier holds one descriptor until Close, so that a process that has no
// free one, or another root, can still notify.
func NewNotifier() (*Notifier, error) {
	address, ok := os.LookupEnv(envNotify)
	if !ok {
		return &Notifier{}, nil
	}
	return NewNotifierTo(address)
}

// NewNotifierTo makes a Notifier for an address in the form of NOTIFY_SOCKET:
// an absolute path, or @ and an abstract name.
func NewNotifierTo(address string) (*Notifier, error) {
	sa, err := parseNotifySocket(address)
	if err != nil {
		return nil, err
	}
	// Blocking, so that os.File keeps it out of the netpoller. Each send uses
	// MSG_DONTWAIT.
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make notification socket: %w", err)
	}
	// Connected, because poll reports room in the peer's queue only then.
	if err := connect(fd, sa); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("connect to %s=%s: %w", envNotify, address, err)
	}
	return &Notifier{address: sa, socket: os.NewFile(uintptr(fd), "notify")}, nil
}

// Enabled reports whether there is a manager to notify.
func (n *Notifier) Enabled() bool { return n != nil && n.socket != nil }

// Close releases the descriptor. Later notifications fail with os.ErrClosed.
// NOTIFY_SOCKET stays in the environment.
func (n *Notifier) Close() error {
	if !n.Enabled() {
		return nil
	}
	return n.socket.Close()
}

// Send sends fields as one message. The methods named after a field do the
// same with less to get wrong.
func (n *Notifier) Send(fields ...Field) error { return n.SendFiles(nil, fields...) }

// SendFiles sends fields and descriptors as one message. The descriptors stay
// the caller's.
func (n *Notifier) SendFiles(fds []int, fields ...Field) error {
	data, err := EncodeMessage(fields...)
	if err != nil {
		return err
	}
	if len(fds) > MaxFiles {
		return fmt.Errorf("notify %s: %d descriptors, at most %d go in a message", fields[0], len(fds), MaxFiles)
	}
	if !n.Enabled() {
		return nil
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if err := n.sendRaw(data, rights); err != nil {
		return fmt.Errorf("notify %s: %w", fields[0], err)
	}
	return nil
}

// sendRaw keeps another goroutine from closing the descriptor meanwhile.
func (n *Notifier) sendRaw(data, rights []byte) error {
	raw, err := n.socket.SyscallConn()
	if err != nil {
		return err
	}
	var sendErr error
	if err := raw.Control(func(fd uintptr) { sendErr = n.send(int(fd), data, rights) }); err != nil {
		return os.ErrClosed // the only cause, which os reports without its sentinel
	}
	return sendErr
}

// send tries until the message is out, an error is final, or Wait has passed.
func (n *Notifier) send(fd int, data, rights []byte) error {
	wait := n.Wait
	if wait == 0 {
		wait = DefaultWait
	}
	start := time.Now()
	reconnected := false
	for {
		err := unix.Sendmsg(fd, data, rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			left := wait - time.Since(start)
			if left <= 0 {
				return ErrBusy
			}
			if err := waitForRoom(fd, left); err != nil {
				return err
			}
		case (err == unix.ECONNREFUSED || err == unix.ENOTCONN) && !reconnected:
			// The manager has made a new socket at the same address.
			reconnected = true
			if err := connect(fd, n.address); err != nil {
				return fmt.Errorf("connect again: %w", err)
			}
		default:
			return err
		}
	}
}

// waitForRoom returns nil when there is room, the time is over, or a signal came.
func waitForRoom(fd int, d time.Duration) error {
	// Rounded up, or the last millisecond would be spent spinning.
	ms := int((d + time.Millisecond - 1) / time.Millisecond)
	_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, ms)
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("wait for room: %w", err)
	}
	return nil
}

func connect(fd int, sa unix.Sockaddr) error {
	for {
		if err := unix.Connect(fd, sa); err != unix.EINTR {
			return err
		}
	}
}

func parseNotifySocket(value string) (*unix.SockaddrUnix, error) {
	fail := func(problem, remedy string) (*unix.SockaddrUnix, error) {
		return nil, &EnvError{Variable: envNotify, Value: value, Problem: problem, Remedy: remedy}
	}
	const form = "it must be an absolute path, or @ and an abstract name"
	scheme, _, _ := strings.Cut(value, ":")
	switch {
	case value == "":
		return fail("it is empty", "unset it, or let systemd set it with Type=notify")
	case scheme == "vsock" || strings.HasPrefix(scheme, "vsock-"):
		return fail("vsock is not supported", "notify over a Unix socket inside the machine; "+form)
	case value[0] != '/' && value[0] != '@':
		return fail("it is no socket address", form)
	case len(value) == 1:
		return fail("it names no socket", form)
	case strings.IndexByte(value, 0) >= 0:
		return fail("it has a NUL", form)
	case len(value) > maxSocketPath:
		return fail(fmt.Sprintf("it has %d bytes, a socket address takes %d", len(value), maxSocketPath), "use a shorter path")
	}
	return &unix.SockaddrUnix{Name: value}, nil
}

// maxSocketPath is sun_path without the NUL that ends it.
const maxSocketPath = len(unix.RawSockaddrUnix{}.Path) - 1
