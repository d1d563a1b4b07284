package worker

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// How the loop takes connections. All workers wait for the same listeners, and
// the kernel wakes the one at the head of the queue. Left alone that is always
// the same worker, so each takes one connection a wake, leaves the queue and
// joins it again at the end.

// mayAccept says whether a connection that came now would be taken. If it
// would not, whatever changes that also wakes the loop.
func (l *loop) mayAccept() bool {
	if l.taken || l.view != nil && (!l.service || l.view.full()) {
		return false
	}
	if l.table.active() < l.cfg.MaxConnections {
		return true
	}
	// The flag first and then the count again, or a connection that ends in
	// between would wake nobody.
	l.table.hungry.Store(true)
	return l.table.active() < l.cfg.MaxConnections
}

// wants says whether the phase takes connections from ln.
func (l *loop) wants(ln *listener) bool {
	switch l.phase {
	case phaseAccepting:
		return !ln.closed
	case phaseHeld, phaseEmptying:
		return !ln.closed && ln.own && !ln.empty
	}
	return false
}

// arm joins the queues of the listeners that are to be waited for, and leaves
// the others.
func (l *loop) arm(now int64) {
	room := l.mayAccept() && now >= l.exhaustion.retry
	open := room
	if open && l.phase == phaseAccepting {
		open = l.gate.open(now, l.table.active(), l.queued)
	}
	accepting := false
	for i := range l.listeners {
		ln := l.listeners[(l.turn+i)%len(l.listeners)]
		wanted := l.wants(ln)
		accepting = accepting || wanted
		l.watch(ln, wanted && open && now >= ln.retry)
	}
	l.show(l.state(accepting && room))
}

// state is what this worker does.
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

// queued says whether a connection waits at a listener that this worker could
// take it from.
func (l *loop) queued() bool {
	l.polled = l.polled[:0]
	for _, ln := range l.listeners {
		if l.wants(ln) {
			l.polled = append(l.polled, unix.PollFd{Fd: int32(ln.fd), Events: unix.POLLIN})
		}
	}
	n, err := unix.Poll(l.polled, 0)
	return err == nil && n > 0
}

// watch joins or leaves one queue.
func (l *loop) watch(ln *listener, on bool) {
	if ln.watched == on {
		return
	}
	if on {
		err := l.poller.Add(ln.fd)
		ln.watched = err == nil
		switch {
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.ENOMEM):
			// All processes of a user share fs.epoll.max_user_watches.
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

// rejoin leaves the queues of the listeners that have been quiet; arm joins
// them again, and so sees what was stranded.
func (l *loop) rejoin(now int64) {
	if now < l.nextRejoin {
		return
	}
	l.nextRejoin = now + int64(tickMost)
	for _, ln := range l.listeners {
		l.watch(ln, false)
	}
}

// take accepts one connection from the listener whose descriptor is fd.
func (l *loop) take(fd int, now int64) {
	for _, ln := range l.listeners {
		if ln.fd == fd && !ln.closed {
			// More than one listener may have been ready.
			if ln.watched && l.wants(ln) && l.mayAccept() {
				l.acceptOne(ln, now)
			}
			return
		}
	}
}

// acceptOne accepts from ln and reports what came of it.
func (l *loop) acceptOne(ln *listener, now int64) verdict {
	fd, p, errno := accept(ln.fd)
	if errno != 0 {
		v := judge(errno)
		l.refused(ln, v, errno, now)
		return v
	}
	l.recovered(now)
	ln.shut = false
	l.nextRejoin = now + int64(tickMost)
	l.nextTimeout = 0
	l.watch(ln, false) // to the end of the queue
	l.turn = (l.turn + 1) % len(l.listeners)
	l.gate.passed()
	if l.phase == phaseEmptying {
		liftHopLimit(fd)
	}
	l.welcome(ln, fd, p, now)
	return acceptSkip
}

// welcome takes a connection in: verify_request, then process_request.
func (l *loop) welcome(ln *listener, fd int, p peer, now int64) {
	c, err := newConn(fd, ln.source, p, l.table, now)
	if err != nil {
		l.slot.Rejected.Add(1)
		l.logClient("connection rejected", err, zap.String("listener", ln.source.name))
		return
	}
	l.table.add(c)
	if !l.verified(c) {
		l.slot.Rejected.Add(1)
		l.reject(c)
		l.taken = l.handlesOneRequest() // it has handled it
		return
	}
	if !l.once {
		l.process(c)
		return
	}
	l.takeLast()
	l.process(c)
	if l.view != nil {
		l.view.end()
	}
}

// reject lets a connection go that verify_request does not want. Where the
// kernel cannot refuse descriptors, a look at what a client of a Unix socket has
// sent closes those among it, which may take long.
func (l *loop) reject(c *Conn) {
	if c.from.network == "unix" {
		go l.rejectNow(c)
		return
	}
	l.rejectNow(c)
}

func (l *loop) rejectNow(c *Conn) {
	linger := l.shutdown(c, true)
	leave := func() {
		l.table.remove(c)
		if linger {
			l.linger(c)
		}
	}
	switch access := l.table.access; {
	case access != nil && !access.Requests():
		go func() { // the loop does not wait for a disk
			access.record(c, outcomeRejected, nil)
			leave()
		}()
	case linger:
		l.table.remove(c)
		go l.linger(c)
	default:
		l.table.remove(c)
	}
}

// takeLast ends accepting for good: the connection that is to be served is
// here. The master hears of it before the handler can do anything.
func (l *loop) takeLast() {
	l.taken = true
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

// refused deals with an error of accept.
func (l *loop) refused(ln *listener, v verdict, errno unix.Errno, now int64) {
	switch v {
	case acceptNothing:
		l.recovered(now)
	case acceptSkip:
		l.exhaustion.skip(now)
		l.log.Debug("accept failed", zap.String("listener", ln.source.name), zap.Error(errno))
	case acceptExhausted:
		l.pause(ln, errno, now)
	case acceptBroken:
		if errno == unix.EINVAL && l.channel != nil {
			l.rest(ln, errno, now)
			return
		}
		l.giveUp(ln, errno)
	}
}

// pause waits for the process or the machine to have room again.
func (l *loop) pause(ln *listener, err error, now int64) {
	l.table.hungry.Store(true) // a connection that ends is a reason to try again
	if l.exhaustion.begin(now) {
		text := "accept paused, out of descriptors"
		if !errors.Is(err, unix.EMFILE) && !errors.Is(err, unix.ENFILE) {
			text = "accept paused, out of kernel memory"
		}
		l.log.Warn(text, zap.String("listener", ln.source.name), zap.Error(err))
	}
}

// rest leaves a listener alone that somebody has shut down, for a successor of
// this worker as well: the master will repair it.
func (l *loop) rest(ln *listener, err error, now int64) {
	if !ln.shut {
		l.log.Error("listener broken", zap.String("listener", ln.source.name), zap.Error(err))
	}
	ln.shut, ln.retry = true, now+int64(tickMost)
	l.watch(ln, false)
}

// listenerLost is the order to leave after a listener was given up.
type listenerLost struct{ err error }

// giveUp abandons a listener that a successor of this worker could use: it
// leaves, for the master to replace it. By an order, because the caller may be
// in the midst of a turn.
func (l *loop) giveUp(ln *listener, err error) {
	l.abandon(ln, err)
	l.inbox.post(listenerLost{fmt.Errorf("listener %q: %w", ln.source.name, err)})
}

// listenerLost begins the drain of a worker that is deaf, in part or whole.
func (l *loop) listenerLost(now int64, err error) {
	if l.draining() || l.taken || l.reason != nil {
		return // it goes, or does not need the listener any more
	}
	l.reason = failure(err)
	l.beginDrain(now, drainOrder{timeout: l.cfg.DrainTimeout, unasked: true})
}

// abandon gives a listener up that cannot be used.
func (l *loop) abandon(ln *listener, err error) {
	l.log.Error("listener broken", zap.String("listener", ln.source.name), zap.Error(err))
	l.closeListener(ln)
}

// exhaustion is the pause after accept said that there are no descriptors, or
// after errors that keep coming. In a worker that lives at its limit every
// connection that ends makes room for one, so the log hears of the beginning
// and of a lasting end, not of every breath in between.
type exhaustion struct {
	on    bool          // said to be out of descriptors
	last  int64         // when accept last said so
	retry int64         // no accept before; 0 is now
	delay time.Duration // the current one
	skips int           // failed accepts in a row
}

const (
	exhaustionFirst = 50 * time.Millisecond // then doubled
	exhaustionMost  = time.Second
	exhaustionQuiet = time.Second // without a lack: over
	skipsMost       = 8           // failed accepts in a row without a pause
)

// begin starts or prolongs the pause, and reports whether it is a new one.
func (e *exhaustion) begin(now int64) bool {
	first := !e.on
	e.on, e.last = true, now
	e.delay = min(max(exhaustionFirst, 2*e.delay), exhaustionMost)
	e.retry = now + int64(e.delay)
	return first
}

// skip counts a failed accept; after several in a row it pauses.
func (e *exhaustion) skip(now int64) {
	if e.skips++; e.skips >= skipsMost {
		e.retry = now + int64(exhaustionFirst)
	}
}

// recovered notes an accept that did not lack anything.
func (l *loop) recovered(now int64) {
	e := &l.exhaustion
	e.retry, e.delay, e.skips = 0, 0, 0
	if e.on && now-e.last >= int64(exhaustionQuiet) {
		e.on = false
		l.log.Info("accept resumed")
	}
}

// exhausted tries again when it is time, or when a connection has ended. It
// asks accept itself: with an empty queue the poller would not say a word, and
// the worker would call itself paused for ever.
func (l *loop) exhausted(now int64) {
	e := &l.exhaustion
	if !e.on {
		if now >= e.retry {
			e.retry = 0 // the pause after skips is over
		}
		return
	}
	if e.retry == 0 {
		l.recovered(now)
		return
	}
	freed := !l.table.hungry.Swap(true)
	if !freed && now < e.retry || !l.mayAccept() {
		return
	}
	// All that are quiet, and one connection: a listener that cannot be watched
	// must not wait for one that nobody comes to.
	for i := range l.listeners {
		ln := l.listeners[(l.turn+i)%len(l.listeners)]
		if l.wants(ln) && l.acceptOne(ln, now) != acceptNothing {
			return
		}
	}
}
