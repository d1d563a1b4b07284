package master

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// The self-test of a busy machine may take long.
func init() { testWait = time.Minute }

// fakeZygote speaks the protocol of a zygote. Its workers are copies of this process
// that use nothing but system calls, so it does not matter that the runtime was copied.
func fakeZygote(ch *ipc.Channel, hello *ipc.Hello, f fault, kind string) int {
	debug.SetGCPercent(-1)
	fault := f.Zygote
	if f.Once != "" && kind == ipc.ZygoteOn {
		file, err := os.OpenFile(f.Once, os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			fault = ""
		}
		_ = file.Close()
	}
	if ch.Send(&ipc.Hello{Protocol: ipc.ProtocolVersion, Build: hello.Build, PID: os.Getpid()}) != nil {
		return 1
	}
	if kind == ipc.ZygoteTest {
		return fakeForkTest(ch, f.Zygote)
	}
	switch fault {
	case "not forkable":
		_ = ch.Send(&ipc.Failed{Code: ipc.ExitNotForkable, Message: "a goroutine of package x was started before Run"})
		return ipc.ExitNotForkable
	case "fails":
		_ = ch.Send(&ipc.Failed{Code: 1, Message: "no database"})
		return 1
	case "dies starting":
		panic("deliberate")
	case "never ready":
		rawSleep()
	case "sends what a worker sends":
		_ = ch.Send(&ipc.Ready{})
		_ = ch.Send(&ipc.Report{State: ipc.StateBusy})
	case "ready twice":
		_ = ch.Send(&ipc.Ready{})
	case "floods":
		go func() {
			for ch.Send(&ipc.Ack{Order: 1 << 40}) == nil || true {
				runtime.Gosched()
			}
		}()
	}
	if ch.Send(&ipc.Ready{}) != nil {
		return 1
	}
	for forks := 0; ; {
		msg, fds, err := ch.Receive()
		if err != nil {
			return 0
		}
		switch msg := msg.(type) {
		case *ipc.Fork:
			forks++
			if code := fakeFork(ch, msg, fds, f, fault, forks); code >= 0 {
				return code
			}
		case *ipc.LogLevel:
			if fault != "careless" {
				_ = ch.Send(&ipc.Ack{Order: msg.Order})
			}
		case *ipc.Reopen:
			_ = ch.Send(&ipc.Ack{Order: msg.Order})
		case *ipc.AccessLog:
			_ = ch.Send(&ipc.Ack{Order: msg.Order})
		case *ipc.Stop:
			if fault != "ignores stop" {
				return 0
			}
		}
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
}

func fakeForkTest(ch *ipc.Channel, fault string) int {
	if procs := os.Getenv(procsVariable); procs != "1" {
		_ = ch.Send(&ipc.Failed{Code: ipc.ExitNotForkable, Message: "GOMAXPROCS is " + procs})
		return 1
	}
	switch fault {
	case "test fails":
		_ = ch.Send(&ipc.Failed{Code: ipc.ExitNotForkable, Message: "2 of 300 processes hung"})
		return 1
	case "test hangs":
		_, _ = clone(0, func() { rawSleep() })
		rawSleep()
	case "test dies":
		panic("deliberate")
	}
	_ = ch.Send(&ipc.Ready{})
	return 0
}

// fakeFork answers a Fork. The result is an exit status, or -1.
func fakeFork(ch *ipc.Channel, msg *ipc.Fork, fds []int, f fault, fault string, forks int) int {
	answer := &ipc.Forked{ID: msg.ID}
	switch fault {
	case "never answers":
		return -1
	case "names another process":
		answer.PID = f.PID
		_ = ch.Send(answer)
		return -1
	case "names itself":
		answer.PID = os.Getpid()
		_ = ch.Send(answer)
		return -1
	case "cannot fork":
		answer.Error = "clone: resource temporarily unavailable"
		_ = ch.Send(answer)
		return -1
	case "answers another fork":
		answer.ID++
	case "stillborn":
		for range 2 {
			pid, _ := clone(unix.CLONE_PARENT, func() { rawExit(70) })
			answer.Stillborn = append(answer.Stillborn, pid)
		}
		answer.Stillborn = append(answer.Stillborn, os.Getppid(), os.Getpid(), 1) // lies
	}
	var err error
	answer.PID, err = clone(unix.CLONE_PARENT, func() { rawWorker(fds[0], fds[1], fds[2], fault) })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if fault == "dies with forks outstanding" {
		return 9
	}
	if fault == "slow" {
		time.Sleep(20 * time.Millisecond) // of work
	}
	if fault == "names a worker twice" && forks > 1 {
		answer.PID = previous
	}
	previous = answer.PID
	_ = ch.Send(answer)
	return -1
}

var previous int

// clone copies this process. The copy calls run, which may only make system calls and
// must not return.
//
//go:norace
func clone(flags uintptr, run func()) (int, error) {
	runtime.Gosched() // or the copy may find that it should yield to another goroutine
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	if pid == 0 {
		run()
		rawExit(71)
	}
	return int(pid), nil
}

// rawWorker says Ready and follows Drain and Stop. With the fault "hung workers" it does
// nothing after Ready; with "short lives" it serves a connection at its first order.
//
//go:norace
func rawWorker(channel, slot, crash int, fault string) {
	for fd, to := range [7]int{ipc.ChannelFD: channel, ipc.SlotFD: slot, ipc.CrashFD: crash} {
		if to != 0 {
			_, _, _ = syscall.RawSyscall(unix.SYS_DUP3, uintptr(to), uintptr(fd), 0)
			_, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(to), 0, 0)
		}
	}
	rawSend("{\"type\":\"ready\"}")
	if fault == "hung workers" {
		rawSleep()
	}
	var buf [512]byte
	for {
		wait := [1]unix.PollFd{{Fd: ipc.ChannelFD, Events: unix.POLLIN}}
		_, _, _ = syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&wait)), 1, 0, 0, 0, 0)
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, ipc.ChannelFD, uintptr(unsafe.Pointer(&buf)), uintptr(len(buf)), 0, 0, 0)
		switch {
		case errno == unix.EINTR, errno == unix.EAGAIN:
		case n == 0, errno != 0:
			rawExit(0)
		case fault == "short lives":
			counts := [2]uint64{1, 1} // accepted and handled
			_, _, _ = syscall.RawSyscall6(unix.SYS_PWRITE64, ipc.SlotFD, uintptr(unsafe.Pointer(&counts)), unsafe.Sizeof(counts), 24, 0, 0)
			rawSend("{\"type\":\"report\",\"body\":{\"state\":\"busy\"}}")
			rawSend("{\"type\":\"drained\"}")
			rawExit(0)
		case rawContains(buf[:n], "stop"):
			rawExit(0)
		case rawContains(buf[:n], "drain") && !rawContains(buf[:n], "hold"):
			rawSend("{\"type\":\"drained\"}")
			rawExit(0)
		}
	}
}

//go:norace
func rawContains(data []byte, word string) bool {
	for i := 0; i+len(word) <= len(data); i++ {
		if string(data[i:i+len(word)]) == word {
			return true
		}
	}
	return false
}

//go:norace
func rawSend(text string) {
	_, _, _ = syscall.RawSyscall6(unix.SYS_SENDTO, ipc.ChannelFD, uintptr(unsafe.Pointer(unsafe.StringData(text))), uintptr(len(text)), unix.MSG_NOSIGNAL, 0, 0)
}

//go:norace
func rawSleep() {
	for {
		_, _, _ = syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
}

//go:norace
func rawExit(code int) {
	for {
		_, _, _ = syscall.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(code), 0, 0)
	}
}
