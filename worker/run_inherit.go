package worker

import (
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// Inherited reports whether a master has started this process as a worker:
// PREFORK_WORKER is 1 and descriptor 3 is a channel. If so, the first call takes
// the variable out of the environment and marks every inherited descriptor
// close-on-exec, so that a program which the worker starts neither takes
// itself for a worker nor keeps a listener or the channel open. Later calls
// return the same answer. Safe for concurrent use.
func Inherited() bool { return inherited() }

var inherited = sync.OnceValue(func() bool {
	if os.Getenv(ipc.WorkerVariable) != "1" {
		return false
	}
	kind, err := unix.GetsockoptInt(ipc.ChannelFD, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_SEQPACKET {
		return false // the variable stays, so that Run can say what is wrong
	}
	_ = os.Unsetenv(ipc.WorkerVariable) // fails only for a malformed name
	// Run marks those that the master names; this also covers what the program
	// starts before Run. Kernels before 5.11 do not know the flag.
	_ = unix.CloseRange(ipc.ChannelFD, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC)
	return true
})

// nameProcess gives the process the program's name. It was started as
// /proc/self/exe, and would be called exe by ps, top and the journal. The
// kernel takes 15 bytes; a process without /proc keeps the name it has.
func nameProcess() {
	_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0)
}
