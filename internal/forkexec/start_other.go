//go:build !amd64 && !arm64

package forkexec

import "syscall"

// Start is syscall.ForkExec: see the package.
func Start(path string, argv, env []string, files []int) (pid, pidfd int, err error) {
	pidfd = -1
	attr := &syscall.ProcAttr{Env: env, Sys: &syscall.SysProcAttr{Setpgid: true, PidFD: &pidfd}}
	for _, fd := range files {
		attr.Files = append(attr.Files, uintptr(fd))
	}
	pid, err = syscall.ForkExec(path, argv, attr)
	return pid, pidfd, err
}
