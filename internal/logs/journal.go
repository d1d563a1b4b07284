package logs

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

// journalSocket is where the journal takes datagrams of its native protocol,
// see https://systemd.io/JOURNAL_NATIVE_PROTOCOL.
var journalSocket = "/run/systemd/journal/socket" // another in tests

// isStream reports whether fd is the stream that systemd connected to the journal,
// as named by the value of JOURNAL_STREAM: device and inode number. A program that
// was started with its output redirected inherits the variable but not the stream.
// See systemd.exec(5).
func isStream(fd int, value string) bool {
	var stat unix.Stat_t
	return unix.Fstat(fd, &stat) == nil && value == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

// dialJournal connects to the socket of the journal. A datagram waits like a line
// for a journal that does not keep up.
func dialJournal(path string) (*sink, error) {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn() // the sink keeps it open as long as the process
	if err != nil {
		return nil, err
	}
	s := newSink(raw)
	s.sys = sendDatagram
	return s, nil
}

func sendDatagram(fd int, datagram []byte) (int, error) {
	err := unix.Sendmsg(fd, datagram, nil, nil, unix.MSG_NOSIGNAL)
	if err == unix.EMSGSIZE || err == unix.ENOBUFS {
		err = sendFile(fd, datagram)
	}
	if err != nil {
		return 0, err
	}
	return len(datagram), nil
}

// sendFile sends what is too large for a datagram as a sealed file, as the protocol
// has it.
func sendFile(fd int, datagram []byte) error {
	memory, err := unix.MemfdCreate("journal-entry", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(memory), "journal-entry")
	defer file.Close()
	if _, err := file.Write(datagram); err != nil {
		return err
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(memory), unix.F_ADD_SEALS, seals); err != nil {
		return err
	}
	return unix.Sendmsg(fd, nil, unix.UnixRights(memory), nil, unix.MSG_NOSIGNAL)
}

// drain waits until the journal has processed all datagrams, or the patience ends.
// It processes them in order, so an empty one, which it ignores, is sent last.
func drain(socket *sink) {
	deadline := time.Now().Add(patience)
	_ = socket.raw.Control(func(fd uintptr) {
		if unix.Sendmsg(int(fd), nil, nil, nil, unix.MSG_NOSIGNAL) != nil {
			return // full, or gone
		}
		for pause := 50 * time.Microsecond; ; pause *= 2 {
			// What a datagram socket has sent counts as its own until it is read.
			unread, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
			if err != nil || unread == 0 || time.Now().After(deadline) {
				return
			}
			time.Sleep(pause) // there is no event to wait for
		}
	})
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
