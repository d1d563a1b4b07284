package worker

import (
	"encoding/binary"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// wakeup ends the loop's wait from another goroutine.
type wakeup struct {
	fd int // an eventfd, watched by the loop's poller

	mu       sync.Mutex // guards what follows, and fd against use after close
	notified bool       // the loop has not looked since the last ring
	closed   bool
}

func newWakeup() (*wakeup, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	return &wakeup{fd: fd}, nil
}

// notify wakes the loop, now or when it next waits. Many rings may be one wake.
func (w *wakeup) notify() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.notified {
		return
	}
	w.notified = true
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(w.fd, one[:]) // a counter of at most 1 cannot overflow
}

// clear is called by the loop once it is awake, before it looks at anything.
func (w *wakeup) clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notified = false
	var count [8]byte
	_, _ = unix.Read(w.fd, count[:])
}

// close makes later rings do nothing.
func (w *wakeup) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.closed = true
		_ = unix.Close(w.fd)
	}
}

// inbox carries orders to the loop.
type inbox struct {
	wake *wakeup

	mu     sync.Mutex // guards orders
	orders []any
}

// post hands over an order and wakes the loop.
func (b *inbox) post(order any) {
	b.mu.Lock()
	b.orders = append(b.orders, order)
	b.mu.Unlock()
	b.wake.notify()
}

// take returns the orders that have come, oldest first.
func (b *inbox) take() []any {
	b.mu.Lock()
	defer b.mu.Unlock()
	orders := b.orders
	b.orders = nil
	return orders
}
