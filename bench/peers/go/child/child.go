// Package child keeps the processes of a prefork from outliving their master.
package child

import (
	"log"
	"os"
	"syscall"
)

// DieWithParent lets the kernel kill the process when its parent dies.
func DieWithParent() {
	parent := os.Getppid()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0); errno != 0 {
		log.Fatalf("prctl: %v", errno)
	}
	if os.Getppid() != parent {
		os.Exit(1) // it died before the call
	}
}
