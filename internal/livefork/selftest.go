package livefork

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// answerTime is how long a child of the self-test has for its connection.
const answerTime = 2 * time.Second

// SelfTest forks this process n times and lets each child serve one TCP connection;
// each tenth collects garbage, each fifth uses goroutines and timers. It returns an
// error if a child hangs, dies or answers wrong, if ctx ends, or if the process cannot
// be forked (*Condition). It tells a runtime that behaves differently from those for
// which this package was made. The process should do nothing else, before or
// afterwards.
func SelfTest(ctx context.Context, n int) error {
	f, err := New()
	if err != nil {
		return err
	}
	f.flags = uintptr(unix.SIGCHLD) // children of this process
	listener, address, err := listenRaw()
	if err != nil {
		return err
	}
	defer unix.Close(listener)
	for i := 1; i <= n; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := f.Fork()
		if err == nil && c.PID == 0 {
			exit(Serve(listener, i))
		}
		if werr := reapAll(c.Stillborn, Stillborn); err == nil {
			err = werr
		}
		if err == nil {
			err = askOne(c.PID, address)
		}
		if err != nil {
			return fmt.Errorf("fork %d of %d: %w", i, n, err)
		}
	}
	return nil
}

// Serve is what the i-th child of the self-test does: it serves one connection of the
// listener, and closes it. It returns its exit status.
func Serve(listener, i int) int {
	if i%10 == 0 {
		collect()
	}
	if i%5 == 0 && !meet() {
		return 3
	}
	file := os.NewFile(uintptr(listener), "listener")
	l, err := net.FileListener(file)
	if err != nil {
		return 4
	}
	_ = file.Close()
	conn, err := l.Accept()
	if err != nil {
		return 5
	}
	buf := make([]byte, 64)
	n, err := conn.Read(buf)
	if err != nil {
		return 6
	}
	if _, err := conn.Write(bytes.ToUpper(buf[:n])); err != nil {
		return 7
	}
	_ = conn.Close()
	return 0
}

func collect() {
	var kept [][]byte
	for range 100 {
		kept = append(kept, make([]byte, 10000))
	}
	runtime.GC()
	runtime.KeepAlive(kept)
}

// meet reports whether goroutines, timers and a channel work.
func meet() bool {
	numbers := make(chan int)
	for i := range 10 {
		go func() {
			time.Sleep(time.Millisecond)
			numbers <- i
		}()
	}
	sum := 0
	for range 10 {
		sum += <-numbers
	}
	return sum == 45
}

func listenRaw() (fd int, address unix.RawSockaddrInet4, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, address, fmt.Errorf("create socket: %w", err)
	}
	err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if err == nil {
		err = unix.Listen(fd, 128)
	}
	if err == nil {
		size := uint32(unsafe.Sizeof(address))
		_, _, errno := syscall.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&address)), uintptr(unsafe.Pointer(&size)))
		if errno != 0 {
			err = errno
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, address, fmt.Errorf("listen: %w", err)
	}
	return fd, address, nil
}

// askOne sends a request that the child pid serves, and reaps the child.
func askOne(pid int, address unix.RawSockaddrInet4) error {
	answer, err := ask(address)
	if err != nil {
		_ = unix.Kill(pid, unix.SIGKILL)
		_, _ = reap(pid)
		return err
	}
	status, err := reap(pid)
	if err != nil {
		return err
	}
	if status != 0 || answer != "HELLO" {
		return fmt.Errorf("the child answered %q and ended with wait status %#x", answer, status)
	}
	return nil
}

// ask waits in raw system calls, so that the process can be forked again at once.
func ask(address unix.RawSockaddrInet4) (string, error) {
	fd, _, errno := syscall.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return "", fmt.Errorf("create socket: %w", errno)
	}
	defer rawClose(fd)
	_, _, errno = syscall.RawSyscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&address)), unsafe.Sizeof(address))
	if errno != 0 {
		return "", fmt.Errorf("connect: %w", errno)
	}
	hello := [5]byte{'h', 'e', 'l', 'l', 'o'}
	_, _, errno = syscall.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&hello)), uintptr(len(hello)))
	if errno != 0 {
		return "", fmt.Errorf("send: %w", errno)
	}
	for end := time.Now().Add(answerTime); ; {
		left := time.Until(end)
		if left <= 0 {
			return "", errors.New("the child did not answer in time")
		}
		if ready, err := rawPoll(int(fd), left); err != nil {
			return "", err
		} else if ready {
			break
		}
	}
	var buf [64]byte
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&buf)), uintptr(len(buf)))
	if errno != 0 {
		return "", fmt.Errorf("receive: %w", errno)
	}
	return string(buf[:n]), nil
}

// reap waits for a child of this process, for at most answerTime.
func reap(pid int) (uint32, error) {
	for end := time.Now().Add(answerTime); ; {
		var status uint32
		got, _, errno := syscall.RawSyscall6(unix.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(&status)), unix.WNOHANG, 0, 0, 0)
		switch {
		case errno != 0 && errno != unix.EINTR:
			return 0, fmt.Errorf("wait for a child: %w", errno)
		case int(got) == pid && errno == 0:
			return status, nil
		case time.Now().After(end):
			_ = unix.Kill(pid, unix.SIGKILL)
			_, _, _ = syscall.RawSyscall6(unix.SYS_WAIT4, uintptr(pid), 0, 0, 0, 0, 0)
			return 0, errors.New("a child did not end in time")
		}
		nap(100 * time.Microsecond)
	}
}

func reapAll(pids []int, want int) error {
	for _, pid := range pids {
		status, err := reap(pid)
		if err != nil {
			return err
		}
		if status != uint32(want)<<8 {
			return fmt.Errorf("a stillborn child ended with wait status %#x", status)
		}
	}
	return nil
}
