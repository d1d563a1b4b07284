package ipc

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// CrashSize is the size of a crash file, in bytes: room for the stacks of some ten
// thousand goroutines.
const CrashSize = 4 << 20

// NewCrashFile makes the memfd into which the runtime of a worker writes why it
// crashes. A write beyond CrashSize fails with EPERM. It takes only the memory that
// was written to. The caller owns the descriptor, which is close-on-exec.
func NewCrashFile() (int, error) {
	return sealedFile("prefork-crash", func(fd int) error { return unix.Ftruncate(fd, CrashSize) })
}

// ReadCrashFile returns the text in the crash file, at most limit bytes. It ends at
// the first NUL.
func ReadCrashFile(fd, limit int) (string, error) {
	buf := make([]byte, limit)
	n := 0
	for n < limit {
		got, err := unix.Pread(fd, buf[n:], int64(n))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("read crash file: %w", err)
		}
		if got <= 0 {
			break
		}
		n += got
	}
	text, _, _ := bytes.Cut(buf[:n], []byte{0})
	return string(text), nil
}

// WriteCrashFile writes text to the beginning of the crash file, over what an
// earlier call wrote, and cuts what does not fit. The offset at which the runtime
// writes does not move.
func WriteCrashFile(fd int, text []byte) error {
	n := min(len(text), CrashSize-1)
	text = append(text[:n:n], 0)
	for off := 0; off < len(text); {
		n, err := unix.Pwrite(fd, text[off:], int64(off))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("write crash file: %w", err)
		}
		off += n
	}
	return nil
}
