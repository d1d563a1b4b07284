package master

import (
	"errors"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/master/policy"
)

// There are three reasons why a message cannot be sent. The worker has exited. Or
// it does not read and its channel is full: if that lasts, it is unfit. Or the
// master lacks descriptors or memory, which is not the worker's fault: the
// message waits.

const (
	resendAfter  = 2  // samples without an acknowledgement until an order is sent again; doubled each time
	resendAtMost = 64 // the most samples between two times
	orderTries   = 5  // until it is logged
)

// outbox is what one worker has not received yet. The owner loop owns it.
type outbox struct {
	queue  []ipc.Message // oldest first; the latest of each type
	orders map[ipc.Type]*order
	full   bool          // the channel was full at the last try
	since  time.Duration // when that began, on the policy's clock
}

// order is a message that the worker acknowledges when it is done. Its
// contents, such as a descriptor, are looked up at each send, so a repeated
// order has the latest ones.
type order struct {
	number  uint64
	sent    bool
	samples int // since it was sent
	tries   int
}

// send sends a message to a worker, after those that wait.
func (m *Master) send(w *worker, msg ipc.Message) {
	w.outbox.queue = slices.DeleteFunc(w.outbox.queue, func(q ipc.Message) bool { return q.Type() == msg.Type() })
	w.outbox.queue = append(w.outbox.queue, msg)
	m.flushQueue(w)
}

func (m *Master) sendTo(id policy.ID, msg ipc.Message) {
	if w := m.workers[id]; w != nil {
		m.send(w, msg)
	}
}

// flushQueue sends waiting messages until one cannot be sent.
func (m *Master) flushQueue(w *worker) (all bool) {
	for len(w.outbox.queue) > 0 {
		msg := w.outbox.queue[0]
		w.outbox.queue = w.outbox.queue[1:]
		if !m.trySend(w, msg) {
			w.outbox.queue = slices.Insert(w.outbox.queue, 0, msg)
			return false
		}
	}
	w.outbox.queue = nil
	return true
}

// giveOrder gives a worker an order, and drops an earlier one of this type.
func (m *Master) giveOrder(w *worker, t ipc.Type) {
	m.lastOrder++
	if w.outbox.orders == nil {
		w.outbox.orders = map[ipc.Type]*order{}
	}
	w.outbox.orders[t] = &order{number: m.lastOrder}
	m.sendOrder(w, t)
}

func (m *Master) giveOrderToAll(t ipc.Type) {
	for _, w := range m.workers {
		m.giveOrder(w, t)
	}
}

func (m *Master) sendOrder(w *worker, t ipc.Type) bool {
	o := w.outbox.orders[t]
	o.samples = 0
	switch t {
	case ipc.TypeReopen:
		o.sent = m.trySend(w, &ipc.Reopen{Order: o.number}, 2)
	case ipc.TypeAccessLog:
		o.sent = m.trySend(w, &ipc.AccessLog{Order: o.number}, m.access.fd)
	case ipc.TypeLogLevel:
		o.sent = m.trySend(w, &ipc.LogLevel{Order: o.number, Level: m.level()})
	}
	if o.sent {
		o.tries++
	}
	return o.sent
}

// acknowledged removes an order that was done, unless a later one has replaced
// it.
func (w *worker) acknowledged(number uint64) {
	for t, o := range w.outbox.orders {
		if o.number == number {
			delete(w.outbox.orders, t)
		}
	}
}

// resend sends what could not be sent or was not acknowledged. It runs at every
// sample.
func (m *Master) resend() {
	waiting := false
	for _, w := range m.workers {
		if w.process.suspended {
			continue // until it runs again
		}
		if !m.flushQueue(w) || !m.resendOrders(w) {
			waiting = true
		}
	}
	if m.sendsWait && !waiting {
		m.sendsWait = false
		m.log.Info("messages to workers sent")
	}
}

func (m *Master) resendOrders(w *worker) (all bool) {
	all = true
	for t, o := range w.outbox.orders {
		wait := min(resendAfter<<min(max(0, o.tries-1), 8), resendAtMost)
		if o.samples++; o.sent && o.samples < wait {
			continue
		}
		if !m.sendOrder(w, t) {
			all = false
		} else if o.tries == orderTries {
			m.log.Warn("worker does not acknowledge", m.about(w, zap.String("event", string(t)), zap.Int("attempt", o.tries))...)
		}
	}
	return all
}

// trySend sends a message, and reports whether that is done: if not, it must be
// sent again.
func (m *Master) trySend(w *worker, msg ipc.Message, fds ...int) bool {
	err := w.channel.Send(msg, fds...)
	full := errors.Is(err, ipc.ErrStuck)
	if full && !w.outbox.full {
		w.outbox.since = m.now()
	}
	w.outbox.full = full
	switch {
	case err == nil, errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET), errors.Is(err, os.ErrClosed):
		return true
	case errors.Is(err, ipc.ErrTooLong):
		m.step(policy.Unfit{ID: w.id, Err: err.Error()})
		return true
	case !full && !m.sendsWait:
		m.sendsWait = true
		m.log.Warn("messages to workers wait", m.about(w, zap.String("event", string(msg.Type())), zap.Error(err))...)
	}
	return false
}
