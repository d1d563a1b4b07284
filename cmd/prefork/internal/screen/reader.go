package screen

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// escapePause is how long, in milliseconds, the rest of a sequence may take to
// follow. A key sends its bytes at once; only a slow line takes them apart.
const escapePause = 50

// Keys reads keys and calls f with each, until Close or until f returns false. The
// error is io.EOF if the terminal has hung up. It must be called once.
func (t *Terminal) Keys(f func(Key) bool) error {
	defer unix.Close(t.stop[0])
	var d Decoder
	buf := make([]byte, 256)
	for {
		limit := -1
		if d.Begun() {
			limit = escapePause
		}
		fds := []unix.PollFd{{Fd: int32(t.in), Events: unix.POLLIN}, {Fd: int32(t.stop[0]), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, limit)
		var keys []Key
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("read terminal: %w", err)
		case fds[1].Revents != 0:
			return nil
		case n == 0:
			keys = d.Flush()
		default:
			n, err := unix.Read(t.in, buf)
			switch {
			case err == unix.EINTR || err == unix.EAGAIN:
				continue
			case n == 0 || err == unix.EIO:
				return io.EOF
			case err != nil:
				return fmt.Errorf("read terminal: %w", err)
			}
			keys = d.Feed(buf[:n])
		}
		for _, k := range keys {
			if !f(k) {
				return nil
			}
		}
	}
}
