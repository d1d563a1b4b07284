package ipc

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MaxSlots bounds a scoreboard.
const MaxSlots = 4096

// Scoreboard is an array of Peers in memory that all workers share, so that they
// can spread connections. The master creates it; a worker maps the descriptor that
// it inherits. Any worker can write any part of it.
//
// The peers may be used from any goroutine, but not after Close.
type Scoreboard struct {
	fd    int
	mem   []byte
	slots int
}

const scoreboardName = "prefork-scoreboard"

// NewScoreboard makes a scoreboard for n slots.
func NewScoreboard(n int) (*Scoreboard, error) {
	if err := checkSlots(n); err != nil {
		return nil, err
	}
	fd, mem, err := newMemory(scoreboardName, n*peerSize)
	if err != nil {
		return nil, err
	}
	return &Scoreboard{fd: fd, mem: mem, slots: n}, nil
}

// OpenScoreboard maps the scoreboard for n slots behind fd, takes ownership of
// fd and makes it close-on-exec. On error fd stays open and the caller's.
func OpenScoreboard(fd, n int) (*Scoreboard, error) {
	if err := checkSlots(n); err != nil {
		return nil, err
	}
	mem, err := mapMemory(scoreboardName, fd, n*peerSize)
	if err != nil {
		return nil, err
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

// Peer returns what the worker in slot i shows its siblings. It panics if i is
// out of range or the scoreboard is closed.
func (s *Scoreboard) Peer(i int) *Peer {
	if s.mem == nil {
		panic("peer of a closed scoreboard")
	}
	if i < 0 || i >= s.slots {
		panic(fmt.Sprintf("slot %d of a scoreboard of %d", i, s.slots))
	}
	return (*Peer)(unsafe.Pointer(&s.mem[i*peerSize]))
}

// Close unmaps the memory and closes the descriptor. A second Close returns an
// error that wraps os.ErrClosed.
func (s *Scoreboard) Close() error {
	if s.mem == nil {
		return fmt.Errorf("close scoreboard: %w", os.ErrClosed)
	}
	err := errors.Join(unmap(s.mem), unix.Close(s.fd))
	s.mem, s.fd = nil, -1
	if err != nil {
		return fmt.Errorf("close scoreboard: %w", err)
	}
	return nil
}

// peerSize is two cache lines, because the prefetcher loads them in pairs.
const peerSize = 128

// Peer is what a worker shows its siblings.
type Peer struct {
	Beat     atomic.Int64  // Now at the last heartbeat, in ns
	State    atomic.Uint32 // a WorkerState
	Active   atomic.Int32  // open connections that are expected to stay
	Accepted atomic.Uint64 // connections taken from the listeners

	_ [peerSize - 24]byte
}

// This fails to compile if Peer has another size.
var _ = [1]struct{}{}[unsafe.Sizeof(Peer{})-peerSize]

// Reset clears the peer: no worker is in the slot.
func (p *Peer) Reset() {
	p.State.Store(uint32(Free))
	p.Beat.Store(0)
	p.Active.Store(0)
	p.Accepted.Store(0)
}
