package notifytest

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/sys/unix"

	"prefork/systemd"
)

// read is the Recorder's goroutine, the only one that receives.
func (r *Recorder) read() {
	defer close(r.done)
	data := make([]byte, systemd.MaxMessage+1)
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(systemd.MaxFiles*4))
	for {
		// Package net asks for close-on-exec descriptors.
		n, oobn, flags, _, err := r.conn.ReadMsgUnix(data, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			r.mu.Lock()
			r.broken = err
			close(r.changed)
			r.changed = make(chan struct{})
			r.mu.Unlock()
			return
		}
		r.record(data[:n], oob[:oobn], flags)
	}
}

// record records one datagram. The descriptors are stored before the message is
// visible, so that a test that has seen it finds them. That of a barrier is closed
// last, because it says that the message was processed.
func (r *Recorder) record(data, oob []byte, flags int) {
	m, fds := parse(data, oob, flags)
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.Err == nil {
		if m.Err = r.keep(m, fds); m.Err != nil {
			m.Fields = nil
		}
	}
	if m.Err != nil || !m.Has("FDSTORE", "1") {
		defer closeAll(fds)
	}
	r.messages = append(r.messages, m)
	close(r.changed)
	r.changed = make(chan struct{})
}

// parse decodes a datagram and its control data. The descriptors are the
// caller's even if the message is malformed.
func parse(data, oob []byte, flags int) (Message, []int) {
	m := Message{Raw: string(data)}
	fds, err := m.parseControl(oob)
	m.Files = len(fds)
	switch {
	case err != nil:
		m.Err = err
	case flags&unix.MSG_TRUNC != 0:
		m.Err = fmt.Errorf("longer than %d bytes", systemd.MaxMessage)
	case flags&unix.MSG_CTRUNC != 0:
		m.Err = errors.New("control data truncated")
	default:
		m.Fields, m.Err = Decode(data)
	}
	if m.Err == nil {
		m.Err = m.check()
	}
	if m.Err != nil {
		m.Fields = nil
	}
	return m, fds
}

// Decode reads a datagram in the form that systemd.EncodeMessage writes, or with
// a newline at its end, as many programs send it. It is as strict as that
// function; systemd itself skips unknown lines.
func Decode(data []byte) (fields []systemd.Field, err error) {
	text := strings.TrimSuffix(string(data), "\n")
	if text == "" {
		return nil, errors.New("no fields")
	}
	for line := range strings.SplitSeq(text, "\n") {
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("line %.80q has no '='", line)
		}
		fields = append(fields, systemd.Field{Name: name, Value: value})
	}
	if _, err := systemd.EncodeMessage(fields...); err != nil {
		return nil, err
	}
	return fields, nil
}

func (m *Message) parseControl(oob []byte) (fds []int, err error) {
	controls, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("parse control data: %w", err)
	}
	for i := range controls {
		c := &controls[i]
		if c.Header.Level != unix.SOL_SOCKET {
			continue
		}
		switch c.Header.Type {
		case unix.SCM_RIGHTS:
			if len(c.Data)%4 != 0 { // which ParseUnixRights does not survive
				return fds, fmt.Errorf("parse descriptors: %d bytes are no whole number of them", len(c.Data))
			}
			got, err := unix.ParseUnixRights(c)
			if err != nil {
				return fds, fmt.Errorf("parse descriptors: %w", err)
			}
			fds = append(fds, got...)
		case unix.SCM_CREDENTIALS:
			cred, err := unix.ParseUnixCredentials(c)
			if err != nil {
				return fds, fmt.Errorf("parse credentials: %w", err)
			}
			m.PID, m.UID, m.GID = int(cred.Pid), int(cred.Uid), int(cred.Gid)
		}
	}
	return fds, nil
}

// check checks the combinations that sd_notify(3) describes.
func (m *Message) check() error {
	names := make(map[string]bool, len(m.Fields))
	for _, f := range m.Fields {
		if names[f.Name] {
			return fmt.Errorf("field %s twice", f.Name)
		}
		names[f.Name] = true
	}
	switch {
	case names["BARRIER"] && (len(m.Fields) != 1 || m.Files != 1):
		return fmt.Errorf("BARRIER=1 with %d more fields and %d descriptors, want none and one", len(m.Fields)-1, m.Files)
	case names["FDSTORE"] && m.Files == 0:
		return errors.New("FDSTORE=1 without a descriptor")
	case !names["BARRIER"] && !names["FDSTORE"] && m.Files > 0:
		return fmt.Errorf("%d descriptors that nothing in the message is about", m.Files)
	}
	return nil
}

func passCredentials(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("ask for credentials: %w", err)
	}
	var setErr error
	err = raw.Control(func(fd uintptr) { setErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
	if err == nil {
		err = setErr
	}
	if err != nil {
		return fmt.Errorf("ask for credentials: %w", err)
	}
	return nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
