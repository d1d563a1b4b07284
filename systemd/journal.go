package systemd

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// JournalStream tells whether what is written to fd, usually 1 or 2, goes
// straight to the journal: fd is the stream that JOURNAL_STREAM names by device
// and inode. It is false if the variable is absent or malformed, or if fd was
// redirected since, say into a file. See systemd.exec(5).
func JournalStream(fd int) bool {
	value, _ := os.LookupEnv(envJournalStream)
	dev, ino, ok := parseJournalStream(value)
	if !ok {
		return false
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return false
	}
	return uint64(stat.Dev) == dev && stat.Ino == ino //nolint:unconvert // Dev has 32 bits on MIPS
}

func parseJournalStream(value string) (dev, ino uint64, ok bool) {
	first, second, found := strings.Cut(value, ":")
	if !found {
		return 0, 0, false
	}
	dev, err := strconv.ParseUint(first, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	ino, err = strconv.ParseUint(second, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	return dev, ino, true
}

// Priority is a level of syslog(3), which the journal stores with a line.
type Priority int

// The priorities, most urgent first.
const (
	Emergency Priority = iota
	Alert
	Critical
	Error
	Warning
	Notice
	Info
	Debug
)

// Prefix returns what makes the journal store a line at p when the line begins
// with it, as sd-daemon(3) describes, such as "<4>" for Warning. It is meant
// for lines written to a JournalStream; elsewhere it would be seen. A value
// beyond the scale counts as its nearer end.
func (p Priority) Prefix() string {
	return fmt.Sprintf("<%d>", min(max(p, Emergency), Debug))
}
