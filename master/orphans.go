package master

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inheritsOrphans says whether processes that lose their parent become ours:
// in the first process of a PID namespace and in a subreaper.
func inheritsOrphans() bool {
	if os.Getpid() == 1 {
		return true
	}
	var on int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&on)), 0, 0, 0)
	return err == nil && on != 0
}

// reapOrphans reaps the ended processes that nobody watches. known says which
// pids are watched. A watched one at the head of the kernel's list ends the
// search: its watcher is about to reap it, and its exit searches again.
func reapOrphans(known func(pid int) bool) (reaped []int) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		pid := siginfoPID(&info)
		if err != nil || pid == 0 || known(pid) {
			return reaped
		}
		if _, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err != nil && err != unix.EINTR {
			return reaped
		}
		reaped = append(reaped, pid)
	}
}

// siginfoPID reads si_pid, which x/sys leaves in the padding: it follows
// si_signo, si_errno and si_code, aligned to a word.
func siginfoPID(info *unix.Siginfo) int {
	const offset = (3*4 + unsafe.Sizeof(uintptr(0)) - 1) &^ (unsafe.Sizeof(uintptr(0)) - 1)
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}
