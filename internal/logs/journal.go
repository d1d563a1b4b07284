package logs

import (
	"strconv"
	"strings"

	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

// isJournal reports whether fd is the stream that systemd connected to the
// journal, as named by the value of JOURNAL_STREAM: device and inode number in
// decimal, with a colon between them. A program that was started with its
// output redirected inherits the variable but not the stream. See
// systemd.exec(5).
func isJournal(fd int, stream string) bool {
	device, inode, ok := strings.Cut(stream, ":")
	if !ok {
		return false
	}
	dev, err := strconv.ParseUint(device, 10, 64)
	if err != nil {
		return false
	}
	ino, err := strconv.ParseUint(inode, 10, 64)
	if err != nil {
		return false
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return false
	}
	return uint64(stat.Dev) == dev && stat.Ino == ino //nolint:unconvert // 32 bits on mips
}

// priority returns the prefix that the journal takes for a line's syslog
// priority, see sd-daemon(3).
func priority(l zapcore.Level) string {
	switch {
	case l <= zapcore.DebugLevel:
		return "<7>" // debug
	case l == zapcore.InfoLevel:
		return "<6>" // info
	case l == zapcore.WarnLevel:
		return "<4>" // warning
	case l == zapcore.ErrorLevel:
		return "<3>" // err
	}
	return "<2>" // crit: panics and what ends the process
}
