//go:build amd64 || arm64

package rawsignal

import (
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
	// So that Go's runtime, too, does nothing: it reacts to EPIPE by itself.
	signal.Ignore(signals...)
	a := action{handler: handlerPC(), flags: onStack | restart | hasRestorer, restorer: restorerPC()}
	for _, s := range signals {
		// It fails only for the numbers that signal.Ignore does not accept either.
		_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s.(syscall.Signal)),
			uintptr(unsafe.Pointer(&a)), 0, unsafe.Sizeof(a.mask), 0, 0)
	}
}

// handlerPC returns the address of the function that the kernel calls.
func handlerPC() uintptr

// restorerPC returns the address to which that function returns: rt_sigreturn(2).
func restorerPC() uintptr
