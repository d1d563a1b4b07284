package ipc

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// newMemory makes memory of size bytes that processes can share, in a sealed
// memfd: nobody can change its size, and so fault those who have mapped it. See
// memfd_create(2).
func newMemory(name string, size int) (fd int, mem []byte, err error) {
	if fd, err = memfd(name); err != nil {
		return -1, nil, fmt.Errorf("create %s: %w", name, err)
	}
	// Allocate, not truncate: too little memory is an error here, and would be
	// a SIGBUS at the first touch.
	if err = unix.Fallocate(fd, 0, 0, int64(size)); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	if err != nil {
		err = fmt.Errorf("seal %s: %w", name, err)
	} else {
		mem, err = mapMemory(name, fd, size)
	}
	if err != nil {
		_ = unix.Close(fd) // err says more than this one could
		return -1, nil, err
	}
	return fd, mem, nil
}

// memfd creates a memory file that can be sealed and never executed.
func memfd(name string) (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	// With vm.memfd_noexec=2 the kernel demands the flag; before 6.3 it does
	// not know it.
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, flags)
	}
	return fd, err
}

// mapMemory maps size bytes of the memory behind fd, which it makes
// close-on-exec.
func mapMemory(name string, fd, size int) ([]byte, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, fmt.Errorf("inspect %s: %w", name, err)
	}
	if stat.Size < int64(size) {
		return nil, fmt.Errorf("%s has %d bytes, want %d", name, stat.Size, size)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make %s close-on-exec: %w", name, err)
	}
	mem, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", name, err)
	}
	return mem, nil
}
