package worker

import (
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// Inherited reports whether a master has started this process as a worker:
// PREFORK_WORKER is 1 and descriptor 3 is a channel. If so, the first call unsets the
// variable and makes every inherited descriptor close-on-exec, so that a program that
// the worker starts is not a worker and does not keep a listener open. Later calls
// return the same answer. Safe for concurrent use.
func Inherited() bool { return inherited().worker }

var inherited = sync.OnceValue(func() (is struct {
	worker bool
	zygote string // the value of ipc.ZygoteVariable
}) {
	if os.Getenv(ipc.WorkerVariable) != "1" {
		return is
	}
	kind, err := unix.GetsockoptInt(ipc.ChannelFD, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_SEQPACKET {
		return is
	}
	is.worker, is.zygote = true, os.Getenv(ipc.ZygoteVariable)
	_, _ = os.Unsetenv(ipc.WorkerVariable), os.Unsetenv(ipc.ZygoteVariable)
	if os.Getenv(ipc.ProcsVariable) != "" {
		_, _ = os.Unsetenv(ipc.ProcsVariable), os.Unsetenv("GOMAXPROCS") // the runtime has read it
	}
	// Kernels before 5.11 do not know the flag; there Run marks the descriptors.
	_ = unix.CloseRange(ipc.ChannelFD, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC)
	return is
})

// nameProcess gives the process the program's name. It was started as
// /proc/self/exe, so ps, top and the journal would call it exe.
//
// Not with os.WriteFile, which asks the netpoller whether it could wait for the file.
func nameProcess() {
	fd, err := unix.Open("/proc/self/comm", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_, _ = unix.Write(fd, []byte(filepath.Base(os.Args[0])))
	_ = unix.Close(fd)
}
