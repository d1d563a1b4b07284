package control

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/testdir"
)

func TestAFullQueueIsWaitedFor(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "s")
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(l)
	at := &unix.SockaddrUnix{Name: path}
	if err := errors.Join(unix.Bind(l, at), unix.Listen(l, 0)); err != nil {
		t.Fatal(err)
	}
	for err = error(nil); err == nil; { // until the queue is full
		var fd int
		if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err == nil {
			defer unix.Close(fd)
			err = unix.Connect(fd, at)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := connect(ctx, path); err == nil {
		t.Error("connected to a full queue")
	}
	// The first try may come before or after this. It must succeed in both cases.
	time.AfterFunc(30*time.Millisecond, func() {
		if fd, _, err := unix.Accept(l); err == nil {
			_ = unix.Close(fd)
		}
	})
	c, err := connect(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}
