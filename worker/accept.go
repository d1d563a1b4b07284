package worker

import (
	"errors"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// All workers wait for the same listeners, and the kernel wakes the first in its
// queue of waiters. That would always be the same worker, so a worker leaves the queue
// after a few connections and joins it again at the end.

// mayAccept says whether there is room for a connection. If not, the loop is woken
// when there is.
func (l *loop) mayAccept() bool {
	if l.lastTaken || l.service != nil && (!l.serviceRuns || l.service.full()) {
		return false
	}
	if l.table.active() < l.cfg.MaxConnections {
		return true
	}
	// Count again after the flag is set: a connection may have ended in between.
	l.table.loopWaits.Store(true)
	return l.table.active() < l.cfg.MaxConnections
}

// acceptsFrom says whether the worker accepts from ln in its phase.
func (l *loop) acceptsFrom(ln *listener) bool {
	switch l.phase {
	case phaseAccepting:
		return !ln.closed
	case phaseHeld, phaseEmptying:
		return !ln.closed && ln.own && !ln.queueEmpty
	}
	return false
}

// arm watches the listeners from which the worker would accept now.
func (l *loop) arm(now int64) {
	room := l.mayAccept() && now >= l.exhaustion.retry
	open := room
	if open && l.phase == phaseAccepting {
		open = l.gate.open(now, l.table.staying(now), l.connectionWaits)
	}
	accepting := false
	for i := range l.listeners {
		ln := l.listeners[(l.firstArmed+i)%len(l.listeners)]
		wanted := l.acceptsFrom(ln)
		accepting = accepting || wanted
		l.watch(ln, wanted && open && now >= ln.retryAt)
	}
	l.publishState(l.state(accepting && room))
}

// state is what the worker shows the master and its siblings.
func (l *loop) state(accepting bool) ipc.WorkerState {
	switch {
	case l.phase == phaseEmptying:
		return ipc.Emptying
	case l.draining():
		return ipc.Draining
	case accepting:
		return ipc.Accepting
	}
	return ipc.Paused
}

// connectionWaits says whether this worker could accept a connection now.
func (l *loop) connectionWaits() bool {
	l.polled = l.polled[:0]
	for _, ln := range l.listeners {
		if l.acceptsFrom(ln) {
			l.polled = append(l.polled, unix.PollFd{Fd: int32(ln.fd), Events: unix.POLLIN})
		}
	}
	n, err := unix.Poll(l.polled, 0)
	return err == nil && n > 0
}

// watch joins or leaves the kernel's queue of waiters for ln.
func (l *loop) watch(ln *listener, on bool) {
	if ln.watched == on {
		return
	}
	if on {
		ln.taken = 0
		err := l.poller.Add(ln.fd)
		ln.watched = err == nil
		switch {
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.ENOMEM):
			l.pause(ln, err, ipc.Now())
		case err != nil:
			l.giveUp(ln, err)
		}
		return
	}
	ln.watched = false
	if err := l.poller.Remove(ln.fd); err != nil && !ln.closed {
		l.giveUp(ln, err)
	}
}

// rejoin leaves the queues of waiters, which arm then joins again: that finds
// connections for which a wake-up was lost (see loop_tick.go).
func (l *loop) rejoin(now int64) {
	if now < l.nextRejoin {
		return
	}
	l.nextRejoin = l.next(now, tickNormal)
	for _, ln := range l.listeners {
		l.watch(ln, false)
	}
}

// take accepts one connection from the listener whose descriptor is fd, unless an
// accept from another listener in this turn has changed what is wanted.
func (l *loop) take(fd int, now int64) {
	for _, ln := range l.listeners {
		if ln.fd == fd && ln.watched && l.acceptsFrom(ln) && l.mayAccept() {
			l.acceptOne(ln, now)
			return
		}
	}
}

// acceptOne accepts from ln. The result is acceptContinue if it has a connection.
func (l *loop) acceptOne(ln *listener, now int64) acceptResult {
	fd, remote, err := accept(ln.fd)
	if err != nil {
		v := classifyAccept(err)
		l.acceptFailed(ln, v, err, now)
		return v
	}
	l.acceptRecovered(now)
	ln.notListening = false
	l.nextRejoin = now + int64(tickNormal)
	l.nextTimeout = 0
	if l.endsTurn(ln, now) {
		l.watch(ln, false) // arm joins again, at the end
	}
	l.firstArmed = (l.firstArmed + 1) % len(l.listeners)
	l.gate.accepted()
	l.endCalm()
	if l.phase == phaseEmptying {
		liftHopLimit(fd)
	}
	l.startConn(ln, fd, remote, now)
	return acceptContinue
}

// To leave the queue and to join it again costs two system calls, so a worker that
// accepts many short connections a millisecond does that more rarely. If most of its
// connections stay, it does so after each: otherwise it would soon have more than its
// siblings, and a closed gate costs it a wake-up.
const (
	maxTurn  = 16 // connections
	turnTime = int64(time.Millisecond)

	// A worker with fewer connections leaves at once. If one came before it waits
	// again, the kernel would wake a sibling as well.
	turnBusy = 4
)

// endsTurn says whether the worker should leave the queue of ln after an accept. A
// worker that has no siblings need not.
func (l *loop) endsTurn(ln *listener, now int64) bool {
	if l.gate.alone(now) {
		return false
	}
	if ln.taken++; ln.taken == 1 {
		ln.turnBegan = now
	}
	active := l.table.active()
	return ln.taken >= maxTurn || now-ln.turnBegan >= turnTime || active < turnBusy || 2*l.table.staying(now) > active
}

// startConn calls verify_request and process_request.
func (l *loop) startConn(ln *listener, fd int, remote syscall.Sockaddr, now int64) {
	c, err := l.newConn(fd, ln.info, remote, now)
	if err != nil {
		l.slot.Rejected.Add(1)
		l.logClientFailure("connection rejected", err, zap.String("listener", ln.info.name))
		return
	}
	l.table.add(c)
	if !l.verify(c) {
		l.slot.Rejected.Add(1)
		l.lastTaken = l.handlesOneRequest()
		if l.events != nil {
			l.events.reject(c)
			return
		}
		go l.reject(c)
		return
	}
	if !l.once {
		l.process(c)
		return
	}
	l.takeLast()
	l.process(c)
	if l.service != nil {
		l.service.end()
	}
}

func (l *loop) newConn(fd int, from *listenerInfo, remote syscall.Sockaddr, now int64) (*Conn, error) {
	if l.events != nil {
		return l.events.add(fd, from, remote, now)
	}
	return newConn(fd, from, remote, l.table, now)
}

// reject closes a connection that verify_request refused. The loop must not wait
// for it: the access log may wait for a disk, and to close descriptors that a
// client of a Unix socket has sent may take minutes.
func (w *worker) reject(c *Conn) {
	linger := w.shutdown(c, true)
	if access := w.table.access; access.recordsConnections() {
		access.record(c, outcomeRejected, nil)
	}
	w.table.remove(c)
	if linger {
		w.linger(c)
	}
}

// takeLast closes the listeners of a worker that serves one connection. It
// informs the master before the handler runs.
func (l *loop) takeLast() {
	l.lastTaken = true
	if l.channel != nil {
		l.send(&ipc.Report{State: ipc.StateBusy})
	}
	for _, ln := range l.listeners {
		l.closeListener(ln)
	}
}

func (l *loop) closeListener(ln *listener) {
	l.watch(ln, false)
	ln.close()
}

// accept is get_request. The new descriptor is non-blocking and close-on-exec, and
// inherits TCP_NODELAY and SO_KEEPALIVE from the listener.
func accept(fd int) (nfd int, remote syscall.Sockaddr, err error) {
	return syscall.Accept4(fd, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
}
