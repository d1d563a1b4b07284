package ipc

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func crashFile(t *testing.T) int {
	t.Helper()
	fd, err := NewCrashFile()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func TestACrashFileHasALimit(t *testing.T) {
	fd := crashFile(t)
	if !closeOnExec(t, fd) {
		t.Error("it is not close-on-exec")
	}
	block := make([]byte, 64<<10)
	if n, err := unix.Pwrite(fd, block, CrashSize-int64(len(block))); err != nil || n != len(block) {
		t.Errorf("the last block: %d, %v", n, err)
	}
	if n, err := unix.Pwrite(fd, block, CrashSize); !errors.Is(err, unix.EPERM) {
		t.Errorf("beyond the end: %d, %v; want EPERM", n, err)
	}
	for _, size := range []int64{0, CrashSize + 1} {
		if err := unix.Ftruncate(fd, size); !errors.Is(err, unix.EPERM) {
			t.Errorf("truncate to %d: %v, want EPERM", size, err)
		}
	}
	if err := unix.Fallocate(fd, 0, CrashSize, 4096); !errors.Is(err, unix.EPERM) {
		t.Errorf("allocate beyond the end: %v, want EPERM", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE); !errors.Is(err, unix.EPERM) {
		t.Errorf("one seal more: %v, want EPERM", err)
	}
}

func TestAWriteReplacesTheCrashFilesText(t *testing.T) {
	fd := crashFile(t)
	read := func(want string) {
		t.Helper()
		got, err := ReadCrashFile(fd, 64)
		if err != nil || got != want {
			t.Errorf("it reads %q, %v; want %q", got, err, want)
		}
	}
	read("")
	for _, text := range []string{"a long first dump", "a second", strings.Repeat("x", 63)} {
		if err := WriteCrashFile(fd, []byte(text)); err != nil {
			t.Fatal(err)
		}
		read(text)
	}
	// The runtime writes at the offset of the descriptor, which is still 0.
	if _, err := unix.Write(fd, []byte("panic: ")); err != nil {
		t.Fatal(err)
	}
	read("panic: " + strings.Repeat("x", 56))
	if err := WriteCrashFile(fd, make([]byte, CrashSize+1)); err != nil {
		t.Errorf("a dump that is too long: %v", err)
	}
}
