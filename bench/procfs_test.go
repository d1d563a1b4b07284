package main

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAThreadThatWaitsForAListenerIsFound(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sockets, err := listeningSockets(l.Addr().String())
	if err != nil || len(sockets) != 1 {
		t.Fatalf("sockets %v, %v; want one", sockets, err)
	}
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(epoll)
	pipe := make([]int, 2)
	if err := unix.Pipe2(pipe, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	r, w := pipe[0], pipe[1]
	defer unix.Close(r)
	watch := func(fd int) error {
		return unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	}
	if err := watch(r); err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = watch(int(fd)) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		_, _ = unix.EpollWait(epoll, make([]unix.EpollEvent, 1), 10_000)
	}()
	for deadline := time.Now().Add(10 * time.Second); len(acceptThreads(os.Getpid(), sockets)) != 1; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the thread was not found")
		}
	}
	if found := acceptThreads(os.Getpid(), []string{"socket:[1]"}); len(found) > 0 {
		t.Errorf("%v wait for another listener", found)
	}
	_ = unix.Close(w)
	<-done
}

func TestAReloadIsReadFromTheMastersLog(t *testing.T) {
	const log = `{"ts":"2026-01-02T03:04:05.1Z","msg":"worker ready","generation":1,"duration_s":9}
{"ts":"2026-01-02T03:04:05.2Z","msg":"worker ready","generation":2,"duration_s":0.004}
{"ts":"2026-01-02T03:04:05.3Z","msg":"worker ready","generation":2,"duration_s":0.003}
{"ts":"2026-01-02T03:04:05.4Z","msg":"generation on probation","generation":2,"duration_s":0.02}
{"ts":"2026-01-02T03:04:05.5Z","msg":"reload done","generation":2}
{"ts":"2026-01-02T03:0`
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	g, err := readGeneration(path, 2)
	want := generationLog{accepts: time.Date(2026, 1, 2, 3, 4, 5, 4e8, time.UTC), slowest: 4 * time.Millisecond, done: true}
	if err != nil || g != want {
		t.Errorf("%+v, %v; want %+v", g, err, want)
	}
	if g, err := readGeneration(path, 3); err != nil || g.done {
		t.Errorf("%+v, %v; want no generation 3", g, err)
	}
}

func TestConnectionsAreCountedByTheDescriptorsOfAProcess(t *testing.T) {
	before, err := filesOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if more, err := gained(os.Getpid(), before); err != nil || !slices.Equal(more, []int{1}) {
		t.Errorf("gained %v, %v; want one process with one more", more, err)
	}
}
