package ipc

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MaxSlots bounds a scoreboard.
const MaxSlots = 4096

// Scoreboard is an array of slots in memory that the master and all workers
// share. The master creates it; a worker maps the descriptor it inherits. The
// counters outlive their worker: the master adds them up when it is gone.
//
// The slots may be used from any goroutine; Close from one, when no other uses
// a slot any more.
type Scoreboard struct {
	fd    int
	mem   []byte
	slots int
}

// NewScoreboard makes a scoreboard of n slots in a sealed memfd: no worker can
// change its size and so fault the master. See memfd_create(2).
func NewScoreboard(n int) (*Scoreboard, error) {
	if err := checkSlots(n); err != nil {
		return nil, err
	}
	fd, err := memfd("prefork-scoreboard")
	if err != nil {
		return nil, fmt.Errorf("create scoreboard: %w", err)
	}
	s, err := sealed(fd, n)
	if err != nil {
		_ = unix.Close(fd) // err says more than this one could
		return nil, err
	}
	return s, nil
}

func sealed(fd, n int) (*Scoreboard, error) {
	// Allocate, not truncate: too little memory is an error here, and would be
	// a SIGBUS at the first touch.
	if err := unix.Fallocate(fd, 0, 0, int64(n)*slotSize); err != nil {
		return nil, fmt.Errorf("allocate scoreboard: %w", err)
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("seal scoreboard: %w", err)
	}
	return OpenScoreboard(fd, n)
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

// OpenScoreboard maps the scoreboard of n slots behind fd, takes ownership of
// fd and makes it close-on-exec. On error fd is left open and still the
// caller's.
func OpenScoreboard(fd, n int) (*Scoreboard, error) {
	if err := checkSlots(n); err != nil {
		return nil, err
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, fmt.Errorf("inspect scoreboard: %w", err)
	}
	if stat.Size < int64(n)*slotSize {
		return nil, fmt.Errorf("scoreboard of %d bytes is too small for %d slots", stat.Size, n)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make scoreboard close-on-exec: %w", err)
	}
	mem, err := unix.Mmap(fd, 0, n*slotSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map scoreboard: %w", err)
	}
	return &Scoreboard{fd: fd, mem: mem, slots: n}, nil
}

func checkSlots(n int) error {
	if n < 1 || n > MaxSlots {
		return fmt.Errorf("scoreboard of %d slots: want 1 to %d", n, MaxSlots)
	}
	return nil
}

// FD returns the descriptor, which stays the scoreboard's; -1 after Close.
func (s *Scoreboard) FD() int { return s.fd }

// Len returns the number of slots.
func (s *Scoreboard) Len() int { return s.slots }

// Slot returns slot i. It panics if i is out of range or the scoreboard is
// closed, and the slot must not be used after Close: the memory is gone.
func (s *Scoreboard) Slot(i int) *Slot {
	if s.mem == nil {
		panic("slot of a closed scoreboard")
	}
	if i < 0 || i >= s.slots {
		panic(fmt.Sprintf("slot %d of a scoreboard of %d", i, s.slots))
	}
	return (*Slot)(unsafe.Pointer(&s.mem[i*slotSize]))
}

// Close unmaps the memory and closes the descriptor. The other processes keep
// theirs. A second Close returns an error that wraps os.ErrClosed.
func (s *Scoreboard) Close() error {
	if s.mem == nil {
		return fmt.Errorf("close scoreboard: %w", os.ErrClosed)
	}
	err := errors.Join(unix.Munmap(s.mem), unix.Close(s.fd))
	s.mem, s.fd = nil, -1
	if err != nil {
		return fmt.Errorf("close scoreboard: %w", err)
	}
	return nil
}
