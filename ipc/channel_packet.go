package ipc

import (
	"errors"
	"fmt"
	"io"

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

// read takes one datagram off the socket without waiting. It returns io.EOF
// when the peer has gone and nothing is left.
func (p *packet) read(fd int) (err error) {
	p.n, p.oobn, p.flags, _, err = unix.Recvmsg(fd, p.data[:], p.oob[:], unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		p.n, p.oobn = 0, 0
		return err
	}
	if p.n > 0 || p.oobn > 0 {
		return nil
	}
	return checkEOF(fd)
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
