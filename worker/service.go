package worker

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// serviceQueue is how many accepted connections may wait for a Service's Accept.
// The loop stops accepting when they are so many: the kernel's queue is where
// a sibling can still take them.
const serviceQueue = 16

// serviceListener is the net.Listener that a Service accepts from: all of the worker's
// listeners in one, filled by the loop. Accept may be called from several
// goroutines.
type serviceListener struct {
	table  *connTable
	addr   net.Addr
	queue  chan *Conn // the loop sends and, when no more will come, closes
	noMore bool       // closed; the loop's

	closing sync.Once
	closed  chan struct{} // the Service called Close
	ending  sync.Once
	ended   chan struct{} // Accept has told the Service that no more will come
}

func newServiceListener(t *connTable, addr net.Addr) *serviceListener {
	return &serviceListener{
		table:  t,
		addr:   addr,
		queue:  make(chan *Conn, serviceQueue),
		closed: make(chan struct{}),
		ended:  make(chan struct{}),
	}
}

// Accept returns the next connection, a *Conn. Its error wraps net.ErrClosed:
// no more will come.
func (v *serviceListener) Accept() (net.Conn, error) {
	// What is queued comes first, even after Close: its client has been let in.
	select {
	case c, ok := <-v.queue:
		return v.accepted(c, ok)
	default:
	}
	select {
	case c, ok := <-v.queue:
		return v.accepted(c, ok)
	case <-v.closed:
		return v.accepted(nil, false)
	}
}

func (v *serviceListener) accepted(c *Conn, ok bool) (net.Conn, error) {
	if !ok {
		v.ending.Do(func() { close(v.ended) })
		return nil, &net.OpError{Op: "accept", Net: v.addr.Network(), Addr: v.addr, Err: net.ErrClosed}
	}
	v.table.wakeLoop()
	return c, nil
}

// Close ends Accept. The worker's listeners are not the Service's to close.
func (v *serviceListener) Close() error {
	v.closing.Do(func() { close(v.closed) })
	return nil
}

// Addr returns the address of the first listener.
func (v *serviceListener) Addr() net.Addr { return v.addr }

// full says that the Service has fallen behind. The loop calls it, and is woken
// when it no longer holds.
func (v *serviceListener) full() bool {
	if len(v.queue) < cap(v.queue) {
		return false
	}
	v.table.loopWaits.Store(true)
	return len(v.queue) == cap(v.queue)
}

// push queues c. The loop has asked full before, and is the only one to push.
func (v *serviceListener) push(c *Conn) {
	c.forService = true
	c.SetDrainIdle(0)
	v.queue <- c
}

// runService runs the program's Service until it ends.
func (w *worker) runService() {
	err := ErrGoexit
	defer func() { w.inbox.post(serviceEnded{err}) }()
	err = catchPanic(func() error { return w.opt.Service.Serve(w.service) })
}

// drainService lets the Service drain once it has taken what was queued.
func (w *worker) drainService(ctx context.Context) {
	err := ErrGoexit
	defer func() { w.inbox.post(drainEnded{err}) }()
	select {
	case <-w.service.ended:
	case <-ctx.Done():
	}
	err = catchPanic(func() error { return w.opt.Service.Drain(ctx) })
	if err != nil {
		err = fmt.Errorf("drain service: %w", err)
	}
}

// end says that no more will come. The loop calls it, and may do so twice.
func (v *serviceListener) end() {
	if !v.noMore {
		v.noMore = true
		close(v.queue)
	}
}

// discard closes what a Service that has ended left in the queue. The loop
// calls it.
func (v *serviceListener) discard() {
	for {
		select {
		case c, ok := <-v.queue:
			if !ok {
				return
			}
			c.cut()
		default:
			return
		}
	}
}
