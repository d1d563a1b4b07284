package ipc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrStuck is wrapped by the error of Send when the socket's buffer is full: the
// peer hangs.
var ErrStuck = errors.New("peer does not read its channel")

// Channel is one end of the pair between the master and one worker. Send and
// Close may be called from any goroutine; Receive from one at a time.
type Channel struct {
	file   *os.File // non-blocking, so Receive waits in the netpoller
	raw    syscall.RawConn
	closed atomic.Bool
}

// Pair makes the two ends of a channel as raw, non-blocking, close-on-exec
// descriptors. The caller owns both; a worker inherits its end as ChannelFD.
// Only the master can send descriptors. See unix(7).
func Pair() (master, worker int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("make channel: %w", err)
	}
	for _, fd := range fds {
		// net.core.wmem_default may have been tuned to less than one message.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, MaxMessage); err != nil {
			closeAll(fds[:])
			return -1, -1, fmt.Errorf("size channel: %w", err)
		}
	}
	RefuseDescriptors(fds[0])
	return fds[0], fds[1], nil
}

// RefuseDescriptors makes the kernel refuse SCM_RIGHTS that are sent to the Unix
// socket fd, with EPERM in the sender; what a listener accepts inherits it.
//
// To close a received descriptor may take minutes, because the sender can choose a
// socket with SO_LINGER. Kernels before 6.16 cannot refuse descriptors, so a close
// that a peer can influence belongs on a goroutine of its own.
func RefuseDescriptors(fd int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0)
}

// NewChannel takes ownership of fd, one end made by Pair, and makes it
// non-blocking and close-on-exec. On error fd stays open and the caller's.
func NewChannel(fd int) (*Channel, error) {
	if err := checkChannel(fd); err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "channel")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("descriptor %d is no channel: %w", fd, err)
	}
	return &Channel{file: file, raw: raw}, nil
}

// checkChannel checks that fd is an end made by Pair, and sets its flags.
func checkChannel(fd int) error {
	for _, want := range []struct {
		option, value int
		name          string
	}{
		{unix.SO_DOMAIN, unix.AF_UNIX, "AF_UNIX"},
		{unix.SO_TYPE, unix.SOCK_SEQPACKET, "SOCK_SEQPACKET"},
	} {
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, want.option)
		if err != nil {
			return fmt.Errorf("descriptor %d is no channel: %w", fd, err)
		}
		if got != want.value {
			return fmt.Errorf("descriptor %d is no channel: not %s", fd, want.name)
		}
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
		return fmt.Errorf("make channel close-on-exec: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return fmt.Errorf("make channel non-blocking: %w", err)
	}
	return nil
}

// Send writes one message, with the descriptors in fds as SCM_RIGHTS; they
// stay the caller's. It never waits: its error wraps ErrStuck if the buffer is
// full, unix.EPIPE if the peer has gone, os.ErrClosed after Close, and
// ErrTooLong for a message over MaxMessage.
func (c *Channel) Send(m Message, fds ...int) error {
	return send(m, fds, c.sendmsg)
}

func (c *Channel) sendmsg(data, oob []byte) error {
	var sendErr error
	// Not raw.Write, which waits for room in the buffer.
	err := c.raw.Control(func(fd uintptr) { sendErr = sendmsg(int(fd), data, oob) })
	if err != nil {
		return c.rawError(err)
	}
	return sendErr
}

// send is Send with the function that sends the datagram.
func send(m Message, fds []int, sendmsg func(data, oob []byte) error) error {
	data, err := Encode(m)
	if err != nil {
		return err
	}
	if len(fds) > MaxFiles {
		return fmt.Errorf("send %s: %d descriptors, want at most %d", m.Type(), len(fds), MaxFiles)
	}
	if want := descriptorsOf(m); len(fds) < want {
		return fmt.Errorf("send %s: %d descriptors, want %d", m.Type(), len(fds), want)
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	if err := sendmsg(data, oob); err != nil {
		return fmt.Errorf("send %s: %w", m.Type(), err)
	}
	return nil
}

// Receive waits for one message. The returned descriptors are the caller's.
//
// It returns io.EOF once the peer has gone and everything it sent is read, an
// error that wraps os.ErrClosed after Close, and a *ProtocolError for a
// datagram that is no message, after which the next call reads the next
// datagram. Any other error is the end of the channel.
func (c *Channel) Receive() (Message, []int, error) {
	p, err := c.recvmsg()
	if err != nil {
		return nil, nil, err
	}
	defer packets.Put(p)
	return p.message()
}

// recvmsg waits for a datagram. The caller puts the packet back into the pool.
func (c *Channel) recvmsg() (*packet, error) {
	var p *packet
	var recvErr error
	err := c.raw.Read(func(fd uintptr) bool {
		p = packets.Get().(*packet)
		if recvErr = p.read(int(fd)); recvErr != nil {
			packets.Put(p)
		}
		return recvErr != unix.EAGAIN
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("receive: %w", c.rawError(err))
	case errors.Is(recvErr, io.EOF):
		return nil, io.EOF
	case recvErr != nil:
		return nil, fmt.Errorf("receive: %w", recvErr)
	}
	return p, nil
}

// rawError translates the error of a syscall.RawConn, which package os does not.
func (c *Channel) rawError(err error) error {
	if c.closed.Load() {
		return os.ErrClosed
	}
	return err
}

// Close closes this end; a Receive that waits returns. The peer reads EOF
// after what was sent. A second Close returns an error that wraps
// os.ErrClosed.
func (c *Channel) Close() error {
	c.closed.Store(true)
	if err := c.file.Close(); err != nil {
		return fmt.Errorf("close channel: %w", err)
	}
	return nil
}

// packets are the buffers of Receive. One for each channel would be half a
// gigabyte for MaxSlots workers, so a Receive that waits holds none.
var packets = sync.Pool{New: func() any { return new(packet) }}
