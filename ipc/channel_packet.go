package ipc

import (
	"errors"
	"fmt"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"
)

// packet is one received datagram: its bytes and what travelled beside them.
type packet struct {
	data  [MaxMessage]byte
	oob   [oobSize]byte
	n     int
	oobn  int
	flags int
}

// oobSize is CmsgSpace for MaxFiles descriptors of four bytes each.
const oobSize = (unix.SizeofCmsghdr + MaxFiles*4 + 7) &^ 7

// The system calls below never wait, so Go's scheduler need not know of them. A process
// that is going to fork itself keeps its P that way.

// read takes one datagram off the socket without waiting. It returns io.EOF
// when the peer has gone and nothing is left.
func (p *packet) read(fd int) error {
	iov := unix.Iovec{Base: &p.data[0]}
	iov.SetLen(len(p.data))
	msg := unix.Msghdr{Iov: &iov, Control: &p.oob[0]}
	msg.SetIovlen(1)
	msg.SetControllen(len(p.oob))
	n, err := message(unix.SYS_RECVMSG, fd, &msg, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		p.n, p.oobn = 0, 0
		return err
	}
	p.n, p.oobn, p.flags = n, int(msg.Controllen), int(msg.Flags)
	if p.n > 0 || p.oobn > 0 {
		return nil
	}
	return checkEOF(fd)
}

// sendmsg sends one datagram without waiting.
func sendmsg(fd int, data, oob []byte) error {
	iov := unix.Iovec{Base: unsafe.SliceData(data)}
	iov.SetLen(len(data))
	msg := unix.Msghdr{Iov: &iov}
	msg.SetIovlen(1)
	if len(oob) > 0 {
		msg.Control = &oob[0]
		msg.SetControllen(len(oob))
	}
	_, err := message(unix.SYS_SENDMSG, fd, &msg, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return ErrStuck
	case errors.Is(err, unix.EMSGSIZE):
		return fmt.Errorf("%w: %w", ErrTooLong, err)
	}
	return err
}

// message is recvmsg or sendmsg.
func message(call uintptr, fd int, msg *unix.Msghdr, flags uintptr) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(msg)), flags)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR, unix.ECONNRESET:
			// ECONNRESET comes once if the peer left messages unread. What it sent before
			// can still be received; to send is EPIPE from then on.
		default:
			return 0, errno
		}
	}
}

// checkEOF returns io.EOF if the peer has gone and nothing is queued. Without it
// an empty datagram would look like the end.
func checkEOF(fd int) error {
	// First poll: after a hang-up the queue does not grow.
	pfd := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	if _, err := unix.Poll(pfd, 0); err != nil {
		return err
	}
	if pfd[0].Revents&(unix.POLLRDHUP|unix.POLLHUP) == 0 {
		return nil
	}
	queued, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	if err != nil {
		return err
	}
	if queued > 0 {
		return nil
	}
	return io.EOF
}

// message decodes the packet and returns the descriptors that belong to it. It
// closes all others.
func (p *packet) message() (Message, []int, error) {
	fds, err := p.rights()
	if err == nil && p.flags&unix.MSG_TRUNC != 0 {
		err = ErrTooLong
	}
	if err == nil && p.flags&unix.MSG_CTRUNC != 0 {
		err = ErrLostDescriptors
	}
	if err != nil {
		closeAll(fds)
		return nil, nil, &ProtocolError{Data: excerpt(p.data[:p.n]), Err: err}
	}
	m, err := Decode(p.data[:p.n])
	if err != nil {
		closeAll(fds)
		return nil, nil, err
	}
	want := descriptorsOf(m)
	if len(fds) < want {
		closeAll(fds)
		return nil, nil, &ProtocolError{
			Type: m.Type(),
			Data: excerpt(p.data[:p.n]),
			Err:  fmt.Errorf("%d descriptors, want %d", len(fds), want),
		}
	}
	closeAll(fds[want:])
	return m, fds[:want:want], nil
}

// rights returns every descriptor that came with the packet, also if the error is
// not nil. The caller closes them.
func (p *packet) rights() ([]int, error) {
	if p.oobn == 0 {
		return nil, nil
	}
	controls, err := unix.ParseSocketControlMessage(p.oob[:p.oobn])
	if err != nil {
		return nil, fmt.Errorf("parse control message: %w", err)
	}
	var fds []int
	var errs []error
	for i := range controls {
		h := controls[i].Header
		if h.Level != unix.SOL_SOCKET || h.Type != unix.SCM_RIGHTS {
			continue
		}
		got, err := unix.ParseUnixRights(&controls[i])
		if err != nil {
			errs = append(errs, fmt.Errorf("parse descriptors: %w", err))
			continue
		}
		fds = append(fds, got...)
	}
	return fds, errors.Join(errs...)
}

// ErrLostDescriptors is wrapped by the error of Receive if the kernel dropped
// descriptors that came with a message.
var ErrLostDescriptors = fmt.Errorf("lost descriptors: more than %d sent, or RLIMIT_NOFILE reached", MaxFiles)

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
