package livefork

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// patience is how long Wait waits with P. sysmon wakes 100 times a second meanwhile.
// Tests shorten it.
var patience = time.Second

// Wait returns when fd is readable or its other end is closed. It keeps P for a second,
// so that a fork can follow at once. Then it waits as any goroutine does, and the next
// Fork proves the conditions again, which takes tens of milliseconds.
func (f *Forker) Wait(fd int) error {
	for end := time.Now().Add(patience); ; {
		left := time.Until(end)
		if left <= 0 {
			break
		}
		ready, err := rawPoll(fd, left)
		if ready || err != nil {
			return err
		}
	}
	f.proven = false
	f.offerThread()
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return fmt.Errorf("wait for a request: %w", err)
		}
	}
	return nil
}

// offerThread makes a parker an idle thread, to which P is given when the caller blocks.
// Otherwise the runtime would start one more thread at each such wait.
func (f *Forker) offerThread() {
	f.unparkThread()
	for end := time.Now().Add(settleTime); time.Now().Before(end); nap(time.Millisecond) {
		others, _, err := f.others()
		if err != nil {
			return
		}
		for tid, s := range others {
			if tid != f.sysmon && s.call == unix.SYS_FUTEX {
				return
			}
		}
	}
}

func rawPoll(fd int, timeout time.Duration) (ready bool, err error) {
	p := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	t := unix.NsecToTimespec(int64(timeout))
	n, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&t)), 0, 0, 0)
	if errno != 0 && errno != unix.EINTR {
		return false, fmt.Errorf("wait for a request: %w", errno)
	}
	return errno == 0 && n > 0, nil
}
