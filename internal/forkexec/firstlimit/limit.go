//go:build amd64 || arm64

// Package firstlimit keeps the limit of open files that this process was started
// with. Package syscall raises the limit to the hard one in its init. os/exec gives
// children the first limit, and so must every other way to start a process:
// programs that use select(2) or close all descriptors do not work with a high limit.
//
// The package imports nothing, so that it is initialised before syscall: the
// language initialises packages without pending imports in the order of their
// paths. A test holds it to that.
package firstlimit

import "unsafe"

// Files is RLIMIT_NOFILE as it was, soft and hard, or zero if it is not known.
var Files [2]uint64

func init() {
	const noFile = 7
	if getrlimit(noFile, uintptr(unsafe.Pointer(&Files))) != 0 {
		Files = [2]uint64{}
	}
}

// getrlimit is the system call; it returns 0 or a negative error number.
func getrlimit(resource, limit uintptr) int64
