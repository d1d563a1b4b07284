package master

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// logFile is the file that takes the place of standard error, in the master
// and in every worker: whatever is written to descriptor 2, the runtime's last
// words included, lands in it.
type logFile struct{ path string }

// open puts the file at path, opened afresh, in place of descriptor 2.
func (l logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return fmt.Errorf("open log file: %w", err)
	}
	defer f.Close()
	if err := unix.Dup3(int(f.Fd()), 2, 0); err != nil {
		return fmt.Errorf("replace standard error: %w", err)
	}
	return nil
}
