package worker

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// wakeup lets other goroutines wake the loop.
type wakeup struct {
	fd int // an eventfd in the loop's poller

	mu       sync.Mutex // guards what follows, and fd against use after close
	notified bool       // and the loop has not cleared it
	closed   bool
}

func newWakeup() (*wakeup, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	return &wakeup{fd: fd}, nil
}

// notify wakes the loop, now or when it next waits.
func (w *wakeup) notify() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.notified {
		return
	}
	w.notified = true
	_, _ = unix.Write(w.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // any number but 0
}

// clear is called by the loop when it has woken.
func (w *wakeup) clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notified = false
	var count [8]byte
	_, _ = unix.Read(w.fd, count[:])
}

// close makes later calls of notify do nothing.
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

// post adds an order and wakes the loop.
func (b *inbox) post(order any) {
	b.mu.Lock()
	b.orders = append(b.orders, order)
	b.mu.Unlock()
	b.wake.notify()
}

// take removes and returns all orders, the oldest first.
func (b *inbox) take() []any {
	b.mu.Lock()
	defer b.mu.Unlock()
	orders := b.orders
	b.orders = nil
	return orders
}
