package ipc

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// CrashSize is the size of a crash file, in bytes, and so the most that a worker
// can make its master hold: the stacks of some ten thousand goroutines.
const CrashSize = 4 << 20

// NewCrashFile makes the memfd that receives a worker's last words. Its size is
// sealed: a write beyond the end fails with EPERM. It costs only the memory that
// was written to. The caller owns the descriptor, which is close-on-exec.
func NewCrashFile() (int, error) {
	fd, err := memfd("prefork-crash")
	if err != nil {
		return -1, fmt.Errorf("create crash file: %w", err)
	}
	if err := unix.Ftruncate(fd, CrashSize); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("size crash file: %w", err)
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("seal crash file: %w", err)
	}
	return fd, nil
}

// ReadCrashFile returns what was written to the crash file, at most limit
// bytes of its beginning. The text ends at the first NUL.
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

// WriteCrashFile puts text at the beginning of the crash file, in the place of
// what an earlier call wrote there, and cuts what does not fit. The offset of
// the descriptor, at which the runtime writes, does not move.
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
