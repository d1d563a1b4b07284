package ipc

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// newMemory makes memory of size bytes that processes can share.
func newMemory(name string, size int) (fd int, mem []byte, err error) {
	// Allocate, not truncate: without it a lack of memory would be a SIGBUS later.
	fd, err = sealedFile(name, func(fd int) error { return unix.Fallocate(fd, 0, 0, int64(size)) })
	if err != nil {
		return -1, nil, err
	}
	if mem, err = mapMemory(name, fd, size); err != nil {
		_ = unix.Close(fd)
		return -1, nil, err
	}
	return fd, mem, nil
}

// sealedFile makes a memfd, close-on-exec, whose size nobody can change after
// resize: to shrink it would make those who have mapped it fault. See
// memfd_create(2).
func sealedFile(name string, resize func(fd int) error) (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	// vm.memfd_noexec=2 requires MFD_NOEXEC_SEAL; kernels before 6.3 refuse it.
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return -1, fmt.Errorf("create %s: %w", name, err)
	}
	if err = resize(fd); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("seal %s: %w", name, err)
	}
	return fd, nil
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
	at, err := unix.MmapPtr(fd, 0, nil, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", name, err)
	}
	return unsafe.Slice((*byte)(at), size), nil
}

// unmap ends what mapMemory has begun.
func unmap(mem []byte) error { return unix.MunmapPtr(unsafe.Pointer(&mem[0]), uintptr(len(mem))) }
