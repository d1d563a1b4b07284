//go:build amd64 || arm64

package rawsignal

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// action is struct sigaction of the kernel.
type action struct {
	handler  uintptr
	flags    uint64
	restorer uintptr // for amd64
	mask     uint64
}

const (
	onStack     = 0x08000000 // SA_ONSTACK: a goroutine's stack may be too small
	restart     = 0x10000000 // SA_RESTART
	hasRestorer = 0x04000000 // SA_RESTORER
)

// Discard catches the signals until the process ends or calls exec. A write to a
// broken standard output or error ends the process no more if SIGPIPE is one.
func Discard(signals ...os.Signal) {
	ignore(signals...)
	for _, s := range signals {
		// It fails only for the numbers that signal.Ignore does not accept either.
		_ = install(s.(syscall.Signal), discardPC())
	}
}

// countFD is where count writes.
var countFD int64 //nolint:unused // the assembler reads it

// Count adds 1 to the eventfd fd at each arrival of the signal, until the process ends
// or calls exec. It is for one signal and one fd, which must stay open and be
// non-blocking.
func Count(s os.Signal, fd int) error {
	countFD = int64(fd)
	ignore(s)
	if err := install(s.(syscall.Signal), countPC()); err != nil {
		return fmt.Errorf("catch %v: %w", s, err)
	}
	return nil
}

// ignore makes Go's runtime do nothing about the signals, also if a write returns EPIPE,
// and forget its handlers: it would not install them again for signal.Notify.
func ignore(signals ...os.Signal) { signal.Ignore(signals...) }

// install makes the kernel call handler, the address of a function.
func install(s syscall.Signal, handler uintptr) error {
	a := action{handler: handler, flags: onStack | restart | hasRestorer, restorer: restorerPC()}
	_, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s),
		uintptr(unsafe.Pointer(&a)), 0, unsafe.Sizeof(a.mask), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// discardPC returns the address of the function that the kernel calls for Discard.
func discardPC() uintptr

// countPC returns that for Count.
func countPC() uintptr

// restorerPC returns the address to which they return: rt_sigreturn(2).
func restorerPC() uintptr
