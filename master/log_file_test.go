package master

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

func TestALogFileThatDoesNotOpenBlocksNothing(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0"), AccessLog: filepath.Join(t.TempDir(), "access")})
	r.serves(1)
	var opens atomic.Int32
	hangs := make(chan struct{}) // closed when the file system answers
	r.untilLoop("the loop", func(m *Master) bool {
		m.access.open = func(path string) (int, error) {
			opens.Add(1)
			<-hangs
			return openAccess(path)
		}
		for range 3 {
			m.signal(unix.SIGUSR1)
		}
		return true
	})
	if code, a := r.post("reload"); code != http.StatusOK {
		t.Errorf("reload while the log is being opened = %d %+v", code, a)
	}
	close(hangs)
	r.untilLoop("the end of the opening", func(m *Master) bool { return !m.access.opening })
	if n := r.log.FilterMessage("access log reopened").Len(); n != 2 || opens.Load() != 2 {
		t.Errorf("three orders while one is under way: %d lines, opened %d times; want 2", n, opens.Load())
	}
}

func TestALogRotationWithoutDescriptorsIsRetried(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0"), AccessLog: filepath.Join(t.TempDir(), "access")})
	r.serves(1)
	var opens atomic.Int32
	r.untilLoop("the loop", func(m *Master) bool {
		m.access.open = func(path string) (int, error) {
			if opens.Add(1) <= 3 {
				return -1, &os.PathError{Op: "open", Path: path, Err: unix.EMFILE}
			}
			return openAccess(path)
		}
		m.signal(unix.SIGUSR1)
		return true
	})
	r.untilLoop("the rotation", func(*Master) bool { return r.log.FilterMessage("access log reopened").Len() == 1 })
	if n := r.log.FilterMessage("access log not reopened").Len(); n != 1 || opens.Load() != 4 {
		t.Errorf("%d lines about what was lacking, opened %d times; want 1 and 4", n, opens.Load())
	}
}

func TestAStartDoesNotWaitForALogFileThatDoesNotOpen(t *testing.T) {
	hangs := make(chan struct{})
	defer close(hangs)
	l := logFile{name: "log file", path: "/stuck/log", open: func(string) (int, error) {
		<-hangs
		return -1, os.ErrClosed
	}}
	tooLate := errors.New("open /stuck/log: too late")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(tooLate)
	if _, err := l.openFirst(ctx); !errors.Is(err, tooLate) {
		t.Errorf("openFirst = %v, want %v", err, tooLate)
	}
}

func TestANamedPipeIsALogFileIfItHasAReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	l := logFile{name: "log file", path: path, open: openLog}
	if _, err := l.openFirst(t.Context()); !errors.Is(err, unix.ENXIO) || !strings.Contains(err.Error(), "open log file: open "+path+": ") || !strings.Contains(err.Error(), "named pipe") {
		t.Errorf("open without a reader = %v, want an error that names the pipe", err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	fd, err := l.openFirst(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags = %#x, %v: a write to a full pipe would wait for its reader", flags, err)
	}
}
