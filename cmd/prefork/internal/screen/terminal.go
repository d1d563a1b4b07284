package screen

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"prefork/cmd/prefork/internal/human"
)

const (
	// The alternate screen, no cursor, and no wrapping at the right edge.
	enter = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H\x1b[2J"
	leave = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// Terminal is a terminal in raw mode. One goroutine may call Paint, another Keys,
// any Close.
type Terminal struct {
	in, out int
	saved   *term.State
	styles  bool
	shown   []string // what each line of the screen says
	stop    [2]int   // a pipe: closing its second end ends Keys

	mu     sync.Mutex // guards closed
	closed bool
}

// IsTerminal says whether f is one.
func IsTerminal(f *os.File) bool { return term.IsTerminal(descriptor(f)) }

// descriptor is f.Fd without its side effect, which makes the open file blocking
// for all who share it. The caller keeps f open.
func descriptor(f *os.File) int {
	fd := -1
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(n uintptr) { fd = int(n) }) // -1 is no terminal
	}
	return fd
}

// Open takes over the terminal of in and out, which stay the caller's and must
// stay open until Close. styles says whether Paint shows them.
func Open(in, out *os.File, styles bool) (*Terminal, error) {
	t := &Terminal{in: descriptor(in), out: descriptor(out), styles: styles}
	if err := unix.Pipe2(t.stop[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	var err error
	if t.saved, err = term.MakeRaw(t.in); err != nil {
		unix.Close(t.stop[0])
		unix.Close(t.stop[1])
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	if err := t.write(enter); err != nil {
		_ = t.Close() // the first error is returned
		unix.Close(t.stop[0])
		return nil, err
	}
	return t, nil
}

// Close restores the terminal and ends Keys.
func (t *Terminal) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	unix.Close(t.stop[1])
	err := t.write(leave)
	_ = unix.IoctlSetInt(t.in, unix.TCFLSH, unix.TCIFLUSH) // unread keys are not for the shell
	if e := term.Restore(t.in, t.saved); e != nil && err == nil {
		err = fmt.Errorf("restore terminal: %w", e)
	}
	return err
}

// Size returns the columns and rows, 80 and 24 if they are unknown.
func (t *Terminal) Size() (columns, rows int) { return size(t.out) }

// Columns returns the columns of f, as Size does.
func Columns(f *os.File) int {
	columns, _ := size(descriptor(f))
	return columns
}

func size(fd int) (columns, rows int) {
	columns, rows, err := term.GetSize(fd)
	if err != nil || columns == 0 || rows == 0 {
		return 80, 24
	}
	return columns, rows
}

// Clear makes the next Paint draw everything: the terminal has another size,
// or somebody wrote on it.
func (t *Terminal) Clear() { t.shown = nil }

// Paint shows the lines from the top of the screen on. The caller has fitted
// them into it.
func (t *Terminal) Paint(lines []human.Line) error {
	var b strings.Builder
	if t.shown == nil {
		b.WriteString("\x1b[0m\x1b[2J")
	}
	now := make([]string, len(lines))
	for i, l := range lines {
		now[i] = l.ANSI(t.styles)
		if i < len(t.shown) && t.shown[i] == now[i] || i >= len(t.shown) && now[i] == "" {
			continue
		}
		// The line is erased first: after a full line the cursor is on its last
		// column, which erasing to the right would delete.
		b.WriteString("\x1b[" + strconv.Itoa(i+1) + ";1H\x1b[2K" + now[i])
	}
	if len(lines) < len(t.shown) {
		b.WriteString("\x1b[" + strconv.Itoa(len(lines)+1) + ";1H\x1b[J")
	}
	t.shown = now
	if b.Len() == 0 {
		return nil
	}
	return t.write(b.String())
}

// write writes all of s, also when signals interrupt it.
func (t *Terminal) write(s string) error {
	for b := []byte(s); len(b) > 0; {
		n, err := unix.Write(t.out, b)
		switch err {
		case nil:
			b = b[n:]
		case unix.EINTR:
		case unix.EAGAIN: // somebody made it non-blocking
			fds := []unix.PollFd{{Fd: int32(t.out), Events: unix.POLLOUT}}
			if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
				return fmt.Errorf("write terminal: %w", err)
			}
		default:
			return fmt.Errorf("write terminal: %w", err)
		}
	}
	return nil
}
