// Package listen gives the Go peers what prefork gives a program, in its plainest
// form: one process, or several with a listener each on the same port
// (SO_REUSEPORT), among which the kernel spreads the connections by a hash of their
// addresses.
package listen

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// variable holds the address of a process that was started by the first one.
const variable = "PREFORK_BENCH_ADDRESS"

// maxProcesses bounds what is started.
const maxProcesses = 64

// Processes returns the listener of this process. The first process starts the
// others with its own arguments, and prints "listening HOST:PORT" once all of them
// listen. They die with it.
func Processes(n int) (net.Listener, error) {
	if n < 1 || n > maxProcesses {
		return nil, fmt.Errorf("%d processes, want 1 to %d", n, maxProcesses)
	}
	address, first := os.Getenv(variable), false
	if address == "" {
		address, first = "127.0.0.1:0", true
	}
	var c net.ListenConfig
	if n > 1 {
		c.Control = reusePort
	}
	l, err := c.Listen(context.Background(), "tcp4", address)
	if err != nil {
		return nil, err
	}
	address = l.Addr().String()
	if first && n > 1 {
		started := make(chan error)
		go keepThread(func() { started <- start(address, n-1) })
		if err := <-started; err != nil {
			return nil, err
		}
	}
	fmt.Printf("listening %s\n", address)
	return l, nil
}

// keepThread calls f on a thread that never ends. PR_SET_PDEATHSIG is about the thread
// that started a process. The caller's own thread is left alone: an accept loop that
// is locked to one is slower.
func keepThread(f func()) {
	runtime.LockOSThread()
	f()
	select {}
}

// start starts n more processes, one after the other, and returns when they listen.
func start(address string, n int) error {
	for range n {
		command := exec.Command("/proc/self/exe", os.Args[1:]...)
		command.Env = append(os.Environ(), variable+"="+address)
		command.Stderr = os.Stderr
		command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := command.StdoutPipe()
		if err != nil {
			return err
		}
		if err := command.Start(); err != nil {
			return err
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if !strings.HasPrefix(line, "listening ") {
			return errors.Join(fmt.Errorf("a further process said %q", line), err)
		}
	}
	return nil
}

func reusePort(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	return errors.Join(err, failed)
}
