package logs

import (
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

// journalSocket is where the journal takes datagrams of its native protocol,
// see https://systemd.io/JOURNAL_NATIVE_PROTOCOL.
var journalSocket = "/run/systemd/journal/socket" // another in tests

// stream is the journal: the stream that systemd connected to a service's
// output, and the socket beside it. Its methods may be called from any
// goroutine.
type stream struct {
	dev, ino uint64

	mu      sync.Mutex // guards the rest
	fd      int        // of the socket; -1 if there is none. Open as long as the process.
	stalled bool       // the last datagram found no room: the next does not wait
}

// journalStream returns the stream if fd is the one that systemd connected to
// the journal, as named by the value of JOURNAL_STREAM: device and inode number
// in decimal, with a colon between them; else nil. A program that was started
// with its output redirected inherits the variable but not the stream. See
// systemd.exec(5).
func journalStream(fd int, value string) *stream {
	device, inode, ok := strings.Cut(value, ":")
	if !ok {
		return nil
	}
	dev, err := strconv.ParseUint(device, 10, 64)
	if err != nil {
		return nil
	}
	ino, err := strconv.ParseUint(inode, 10, 64)
	if err != nil {
		return nil
	}
	s := &stream{dev: dev, ino: ino, fd: -1}
	if !s.is(fd) {
		return nil
	}
	return s
}

func (s *stream) is(fd int) bool {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return false
	}
	return uint64(stat.Dev) == s.dev && stat.Ino == s.ino //nolint:unconvert // 32 bits on mips
}

func (s *stream) connect(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		_ = unix.Close(fd)
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fd = fd
	return nil
}

// send sends one datagram. Like a line it waits a moment for a journal that
// does not keep up.
func (s *stream) send(datagram []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.sendLocked(datagram, nil)
	if err == unix.EMSGSIZE || err == unix.ENOBUFS {
		err = s.sendFileLocked(datagram)
	}
	s.stalled = errors.Is(err, errStalled)
	return err
}

func (s *stream) sendLocked(datagram, rights []byte) error {
	deadline := time.Now().Add(patience)
	if s.stalled {
		deadline = time.Time{}
	}
	for {
		err := unix.Sendmsg(s.fd, datagram, rights, nil, unix.MSG_NOSIGNAL)
		switch err {
		case unix.EINTR:
		case unix.EAGAIN:
			if err := awaitRoom(s.fd, deadline); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// sendFileLocked sends what is too large for a datagram as a sealed file, as
// the protocol has it.
func (s *stream) sendFileLocked(datagram []byte) error {
	file, err := unix.MemfdCreate("journal-entry", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return err
	}
	defer unix.Close(file)
	for len(datagram) > 0 {
		n, err := unix.Write(file, datagram)
		if err != nil {
			return err
		}
		datagram = datagram[n:]
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(file), unix.F_ADD_SEALS, seals); err != nil {
		return err
	}
	return s.sendLocked(nil, unix.UnixRights(file))
}

// drain waits until the journal has processed all datagrams, or the patience ends.
// It processes them in order, so an empty one, which it ignores, is sent last.
func (s *stream) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if unix.Sendmsg(s.fd, nil, nil, nil, unix.MSG_NOSIGNAL) != nil {
		return // full, or gone
	}
	deadline := time.Now().Add(patience)
	for pause := 50 * time.Microsecond; ; pause *= 2 {
		// What a datagram socket has sent counts as its own until it is read.
		unread, err := unix.IoctlGetInt(s.fd, unix.SIOCOUTQ)
		if err != nil || unread == 0 || time.Now().After(deadline) {
			return
		}
		time.Sleep(pause) // there is no event to wait for
	}
}

// datagram makes an entry: the text with its fields is MESSAGE, the constant
// message PREFORK_MESSAGE, and each field has a name with that prefix. The journal
// adds the time and the sender.
func (e *console) datagram(entry zapcore.Entry) *buffer.Buffer {
	text, out := buffers.Get(), buffers.Get()
	defer text.Free()
	e.text(text, entry)
	text.TrimNewline()
	var b []byte
	b = appendPair(b, "MESSAGE", text.String())
	b = appendPair(b, "PRIORITY", priority(entry.Level))
	b = appendPair(b, "SYSLOG_IDENTIFIER", e.native)
	b = appendPair(b, fieldPrefix+"MESSAGE", entry.Message)
	if entry.LoggerName != "" {
		b = appendPair(b, fieldPrefix+"LOGGER", entry.LoggerName)
	}
	out.AppendBytes(b)
	out.AppendBytes(e.pairs)
	return out
}

// fieldPrefix begins the names of our fields.
const fieldPrefix = "PREFORK_"

// maxFieldName is what the journal allows.
const maxFieldName = 64

func (e *console) pair(key, value string) {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, fieldPrefix+e.prefix+key)
	e.pairs = appendPair(e.pairs, name[:min(len(name), maxFieldName)], value)
}

// appendPair writes NAME=value, or in the form with a length what has a line
// break.
func appendPair(b []byte, name, value string) []byte {
	b = append(b, name...)
	if !strings.Contains(value, "\n") {
		b = append(b, '=')
	} else {
		b = append(b, '\n')
		b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	}
	b = append(b, value...)
	return append(b, '\n')
}

// priority returns the syslog priority of a level, see sd-daemon(3).
func priority(l zapcore.Level) string {
	switch {
	case l <= zapcore.DebugLevel:
		return "7" // debug
	case l == zapcore.InfoLevel:
		return "6" // info
	case l == zapcore.WarnLevel:
		return "4" // warning
	case l == zapcore.ErrorLevel:
		return "3" // err
	}
	return "2" // crit: panics and what ends the process
}
