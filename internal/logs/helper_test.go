package logs

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/internal/needtool"
)

// waiting is the limit of every wait.
const waiting = 20 * time.Second

// helperEnv makes the test binary run as a process with a broken standard error.
const helperEnv = "PREFORK_LOGS_HELPER"

func TestMain(m *testing.M) {
	journalSocket = os.DevNull // the machine may have a journal
	// The tests set the environment themselves.
	for _, name := range []string{"NO_COLOR", "JOURNAL_STREAM"} {
		if err := os.Unsetenv(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := os.Setenv("TERM", "xterm"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if os.Getenv(helperEnv) == "" {
		os.Exit(m.Run())
	}
	if err := helperBrokenStderr(); err != nil {
		fmt.Println(err)
	}
}

// noon is the clock of lines that are compared as text.
type noon struct{}

var noonTime = time.Date(2026, 7, 1, 12, 0, 0, 123_456_789, time.UTC)

func (noon) Now() time.Time                       { return noonTime }
func (noon) NewTicker(time.Duration) *time.Ticker { panic("unused") }

// open returns a logger whose clock does not move.
func open(t testing.TB, format, level string, f *os.File) (*zap.Logger, zap.AtomicLevel) {
	t.Helper()
	log, atom, err := New(format, level, f)
	if err != nil {
		t.Fatal(err)
	}
	return log.WithOptions(zap.WithClock(noon{})), atom
}

// file returns an open file and a function that returns its contents.
func file(t testing.TB) (*os.File, func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, func() string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
}

// lines returns what f logs in the format.
func lines(t testing.TB, format string, f func(log *zap.Logger)) string {
	t.Helper()
	out, text := file(t)
	log, _ := open(t, format, "debug", out)
	f(log)
	return text()
}

// pipe returns both ends of a pipe. As in a shell, the writing end blocks.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	r, w = os.NewFile(uintptr(fds[0]), "reader"), os.NewFile(uintptr(fds[1]), "writer")
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

// within fails the test if f does not return.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(waiting):
		t.Fatalf("waited for %s, in vain", what)
	}
}

// terminal returns both ends of a pseudo terminal.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		needtool.Skip(t, "no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	t.Cleanup(func() { _ = slave.Close() })
	return master, slave
}

// readLine waits for one line of f.
func readLine(t *testing.T, f *os.File) string {
	t.Helper()
	var line string
	within(t, "a line", func() {
		s, err := bufio.NewReader(f).ReadString('\n')
		if err != nil {
			t.Error(err)
		}
		line = strings.TrimRight(s, "\r\n")
	})
	return line
}
