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

// outbox is what one process has not received yet. The owner loop owns it.
type outbox struct {
	queue  []ipc.Message // oldest first; the latest of each type
	orders map[ipc.Type]*order
	full   bool          // the channel was full at the last try
	since  time.Duration // when that began, on the policy's clock
}

// order is a message that the process acknowledges when it is done. Its
// contents, such as a descriptor, are looked up at each send, so a repeated
// order has the latest ones.
type order struct {
	number  uint64
	sent    bool
	samples int // since it was sent
	tries   int
}

// send sends a message to a process, after those that wait.
func (m *Master) send(l *link, msg ipc.Message) {
	l.outbox.queue = slices.DeleteFunc(l.outbox.queue, func(q ipc.Message) bool { return q.Type() == msg.Type() })
	l.outbox.queue = append(l.outbox.queue, msg)
	m.flushQueue(l)
}

func (m *Master) sendTo(id policy.ID, msg ipc.Message) {
	if w := m.workers[id]; w != nil {
		m.send(&w.link, msg)
	}
}

// flushQueue sends waiting messages until one cannot be sent.
func (m *Master) flushQueue(l *link) (all bool) {
	for len(l.outbox.queue) > 0 {
		msg := l.outbox.queue[0]
		l.outbox.queue = l.outbox.queue[1:]
		if !m.trySend(l, msg) {
			l.outbox.queue = slices.Insert(l.outbox.queue, 0, msg)
			return false
		}
	}
	l.outbox.queue = nil
	return true
}

// giveOrder gives a process an order, and drops an earlier one of this type.
func (m *Master) giveOrder(l *link, t ipc.Type) {
	m.lastOrder++
	if l.outbox.orders == nil {
		l.outbox.orders = map[ipc.Type]*order{}
	}
	l.outbox.orders[t] = &order{number: m.lastOrder}
	m.sendOrder(l, t)
}

func (m *Master) giveOrderToAll(t ipc.Type) {
	for l := range m.links() {
		m.giveOrder(l, t)
	}
}

func (m *Master) sendOrder(l *link, t ipc.Type) bool {
	o := l.outbox.orders[t]
	o.samples = 0
	switch t {
	case ipc.TypeReopen:
		o.sent = m.trySend(l, &ipc.Reopen{Order: o.number}, 2)
	case ipc.TypeAccessLog:
		o.sent = m.trySend(l, &ipc.AccessLog{Order: o.number}, m.access.fd)
	case ipc.TypeLogLevel:
		o.sent = m.trySend(l, &ipc.LogLevel{Order: o.number, Level: m.level()})
	}
	if o.sent {
		o.tries++
	}
	return o.sent
}

// acknowledged removes an order that was done, unless a later one has replaced
// it.
func (l *link) acknowledged(number uint64) {
	for t, o := range l.outbox.orders {
		if o.number == number {
			delete(l.outbox.orders, t)
		}
	}
}

// resend sends what could not be sent or was not acknowledged. It runs at every
// sample.
func (m *Master) resend() {
	waiting := false
	for l := range m.links() {
		if l.process.suspended {
			continue // until it runs again
		}
		if !m.flushQueue(l) || !m.resendOrders(l) {
			waiting = true
		}
	}
	if m.sendsWait && !waiting {
		m.sendsWait = false
		m.log.Info("messages to workers sent")
	}
}

func (m *Master) resendOrders(l *link) (all bool) {
	all = true
	for t, o := range l.outbox.orders {
		wait := min(resendAfter<<min(max(0, o.tries-1), 8), resendAtMost)
		if o.samples++; o.sent && o.samples < wait {
			continue
		}
		if !m.sendOrder(l, t) {
			all = false
		} else if o.tries == orderTries {
			m.log.Warn("worker does not acknowledge", l.to.about(zap.String("event", string(t)), zap.Int("attempt", o.tries))...)
		}
	}
	return all
}

// trySend sends a message, and reports whether that is done: if not, it must be
// sent again.
func (m *Master) trySend(l *link, msg ipc.Message, fds ...int) bool {
	err := l.channel.Send(msg, fds...)
	full := errors.Is(err, ipc.ErrStuck)
	if full && !l.outbox.full {
		l.outbox.since = m.now()
	}
	l.outbox.full = full
	switch {
	case err == nil, errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET), errors.Is(err, os.ErrClosed):
		return true
	case errors.Is(err, ipc.ErrTooLong):
		l.to.unfit(m, err.Error())
		return true
	case !full && !m.sendsWait:
		m.sendsWait = true
		m.log.Warn("messages to workers wait", l.to.about(zap.String("event", string(msg.Type())), zap.Error(err))...)
	}
	return false
}
