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

// What keeps a message from a worker is one of three things. The worker has
// gone: its exit is on its way. The worker does not read: its channel is full,
// which is evidence against it if it lasts. Or the master lacks something, such
// as descriptors or memory, for which no worker is to blame: the message waits.

const (
	resendAfter  = 2  // samples without an acknowledgement, after which an order is repeated; then doubled
	resendAtMost = 64 // samples between two times
	orderTries   = 5  // after which the log says so
)

// outbox is what one worker has yet to be told. The owner loop owns it.
type outbox struct {
	queue  []ipc.Message // oldest first; one of each type, the latest
	orders map[ipc.Type]*order
	full   bool          // the channel was full at the last try
	since  time.Duration // on the policy's clock: since when it is full
}

// order is a message that a worker acknowledges once it has done what it says.
// What it carries, such as a descriptor, is looked up when it is sent: a repeated
// order brings the latest.
type order struct {
	number  uint64
	sent    bool
	samples int // since it was sent
	tries   int
}

// send sends one message to a worker, after those that wait.
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

// flushQueue sends what waits, until something cannot be sent.
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

// instruct gives a worker the order of type t, in place of an earlier one.
func (m *Master) giveOrder(w *worker, t ipc.Type) {
	m.lastOrder++
	if w.outbox.orders == nil {
		w.outbox.orders = map[ipc.Type]*order{}
	}
	w.outbox.orders[t] = &order{number: m.lastOrder}
	m.sendOrder(w, t)
}

// instructAll gives every worker the order.
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

// acknowledged notes that a worker has followed an order. One that was replaced
// meanwhile is none any more.
func (w *worker) acknowledged(number uint64) {
	for t, o := range w.outbox.orders {
		if o.number == number {
			delete(w.outbox.orders, t)
		}
	}
}

// remind sends again what the workers have not been told or have not
// acknowledged. It runs at every sample.
func (m *Master) resend() {
	waiting := false
	for _, w := range m.workers {
		if w.process.suspended {
			continue // it is told once it runs again
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

// trySend sends a message and says whether it need not be sent again.
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
