package worker

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// serviceQueue is how many accepted connections may wait for a Service's Accept.
// Then the loop stops accepting, and siblings can accept the others.
const serviceQueue = 16

// serviceListener is the net.Listener of a Service: all of the worker's listeners in
// one. The loop accepts and pushes the connections.
type serviceListener struct {
	table  *connTable
	addr   net.Addr
	queue  chan *Conn // the loop sends and closes
	noMore bool       // queue is closed; only the loop uses it

	closing sync.Once
	closed  chan struct{} // the Service called Close
	ending  sync.Once
	ended   chan struct{} // Accept has returned net.ErrClosed
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

// Accept returns the next connection, a *Conn, or an error that wraps net.ErrClosed.
func (v *serviceListener) Accept() (net.Conn, error) {
	// Connections in the queue come first, even after Close.
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

// Close ends Accept, and leaves the worker's listeners open.
func (v *serviceListener) Close() error {
	v.closing.Do(func() { close(v.closed) })
	return nil
}

// Addr returns the address of the first listener.
func (v *serviceListener) Addr() net.Addr { return v.addr }

// full says that the queue is full. If so, the loop is woken by the next Accept.
func (v *serviceListener) full() bool {
	if len(v.queue) < cap(v.queue) {
		return false
	}
	v.table.loopWaits.Store(true)
	return len(v.queue) == cap(v.queue)
}

// push queues c. It does not block, because the loop has called full before.
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

// drainService calls Service.Drain when the queue is empty.
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

// end closes the queue. Only the loop calls it, perhaps twice.
func (v *serviceListener) end() {
	if !v.noMore {
		v.noMore = true
		close(v.queue)
	}
}

// discard cuts the connections that a Service that has ended left in the queue.
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
