package worker

import (
	"errors"
	"unsafe"

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
	if l.lastTaken || l.service != nil && (!l.serviceRuns || l.service.full()) {
		return false
	}
	if l.table.active() < l.cfg.MaxConnections {
		return true
	}
	// The flag first and then the count again, or a connection that ends in
	// between would wake nobody.
	l.table.loopWaits.Store(true)
	return l.table.active() < l.cfg.MaxConnections
}

// acceptsFrom says whether the phase takes connections from ln.
func (l *loop) acceptsFrom(ln *listener) bool {
	switch l.phase {
	case phaseAccepting:
		return !ln.closed
	case phaseHeld, phaseEmptying:
		return !ln.closed && ln.own && !ln.queueEmpty
	}
	return false
}

// arm joins the queues of the listeners that are to be waited for, and leaves
// the others.
func (l *loop) arm(now int64) {
	room := l.mayAccept() && now >= l.exhaustion.retry
	open := room
	if open && l.phase == phaseAccepting {
		open = l.gate.open(now, l.table.active(), l.connectionWaits)
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

// connectionWaits says whether a connection waits at a listener that this worker could
// take it from.
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
	l.nextRejoin = now + int64(tickNormal)
	for _, ln := range l.listeners {
		l.watch(ln, false)
	}
}

// take accepts one connection from the listener whose descriptor is fd.
func (l *loop) take(fd int, now int64) {
	for _, ln := range l.listeners {
		if ln.fd == fd && !ln.closed {
			// More than one listener may have been ready.
			if ln.watched && l.acceptsFrom(ln) && l.mayAccept() {
				l.acceptOne(ln, now)
			}
			return
		}
	}
}

// acceptOne accepts from ln and reports what came of it.
func (l *loop) acceptOne(ln *listener, now int64) acceptResult {
	fd, p, errno := accept(ln.fd)
	if errno != 0 {
		v := classifyAccept(errno)
		l.acceptFailed(ln, v, errno, now)
		return v
	}
	l.acceptRecovered(now)
	ln.notListening = false
	l.nextRejoin = now + int64(tickNormal)
	l.nextTimeout = 0
	l.watch(ln, false) // to the end of the queue
	l.firstArmed = (l.firstArmed + 1) % len(l.listeners)
	l.gate.accepted()
	if l.phase == phaseEmptying {
		liftHopLimit(fd)
	}
	l.startConn(ln, fd, p, now)
	return acceptContinue
}

// startConn takes a connection in: verify_request, then process_request.
func (l *loop) startConn(ln *listener, fd int, p peer, now int64) {
	c, err := newConn(fd, ln.info, p, l.table, now)
	if err != nil {
		l.slot.Rejected.Add(1)
		l.logClientFailure("connection rejected", err, zap.String("listener", ln.info.name))
		return
	}
	l.table.add(c)
	if !l.verify(c) {
		l.slot.Rejected.Add(1)
		l.reject(c)
		l.lastTaken = l.handlesOneRequest() // it has handled it
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

// reject lets a connection go that verify_request does not want. Where the
// kernel cannot refuse descriptors, a look at what a client of a Unix socket has
// sent closes those among it, which may take long.
func (l *loop) reject(c *Conn) {
	if c.listener.network == "unix" {
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

// accept takes one connection from fd: get_request. The new descriptor is
// non-blocking and close-on-exec; TCP_NODELAY and SO_KEEPALIVE it has from the
// listener. On error errno says why and nothing was opened.
func accept(fd int) (nfd int, p peer, errno unix.Errno) {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	// A system call that the scheduler sees, although it does not wait: should
	// anybody clear O_NONBLOCK on the shared listener, one loop hangs and not
	// the garbage collector too.
	n, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa)),
		uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, peer{}, errno
	}
	return int(n), peerOf(&sa, size), 0
}
