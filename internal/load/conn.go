package load

import (
	"golang.org/x/sys/unix"
)

type state uint8

// The states.
//
//	closed ─► connecting ─► greeting ─► ready ◄─► resting
//	  ▲           ▲   │         │         │         │
//	  │   busy ───┘   ▼         ▼         ▼         ▼
//	  └──────────── a failure, the server's end, or its own
const (
	closed     state = iota // and a timer opens it, unless it is Churn's
	connecting              // until it can be written to
	busy                    // a unix socket's queue is full; a timer tries again
	greeting                // until its line is answered
	ready                   // asks, or waits for a request
	resting                 // between two requests
)

// busyPause is how long it is until a full queue is tried again.
const busyPause = int64(1e6)

// exchange is one that is in flight.
type exchange struct {
	due  int64 // when it should have begun
	sent int64 // when it did
	n    uint64
}

// conn is a connection, and those that follow when it is closed. Its loop owns it.
type conn struct {
	fd     int32
	age    int32 // grows with each socket and timer
	index  int   // in the run
	state  state
	stood  bool // this socket was connected
	queued bool // in the loop's queue of free ones

	flying ring[exchange]
	asked  int // exchanges begun on this socket
	dials  int
	answer answer
	out    []byte // what the socket would not take
	dialed int64  // when connect or greeting began
	since  int64  // when it could take a request
	ended  Class  // resting: how the server ended it
	cut    bool   // resting: ended is set
	label  string
}

// head is the exchange that is answered next.
func (k *conn) head() *exchange { return k.flying.head() }

func (k *conn) begin(due, sent int64, n uint64) {
	k.flying.push(exchange{due, sent, n})
	k.asked++
}

// end takes the first exchange off.
func (k *conn) end() {
	k.flying.pop()
	k.answer.begun = false
}

// takes reports whether another request may be sent.
func (k *conn) takes(p *plan) bool {
	if p.Mode == Churn {
		return k.state == closed && k.flying.size == 0
	}
	return k.state == ready && k.flying.size < len(k.flying.items) && (p.PerConn == 0 || k.asked < p.PerConn)
}

// expired reports whether the connection has waited too long. The time in which
// the process was frozen does not count.
func (k *conn) expired(now, frozenUntil, timeout, connect int64) bool {
	switch k.state {
	case connecting, busy:
		return now-max(k.dialed, frozenUntil) > connect
	case greeting:
		return now-max(k.dialed, frozenUntil) > timeout
	case ready:
		return k.flying.size > 0 && now-max(k.head().sent, frozenUntil) > timeout
	}
	return false
}

// openMore opens connections that have not been opened yet, a few at a time.
func (l *loop) openMore(now int64) {
	if l.plan.Mode == Churn {
		for ; l.unopened < len(l.conns); l.unopened++ {
			l.conns[l.unopened].since = now
			l.available(&l.conns[l.unopened], now)
		}
		return
	}
	if l.opensMore {
		return // a connect that failed at once
	}
	l.opensMore = true
	for l.unopened < len(l.conns) && l.opening < maxOpening && !l.stopping {
		l.unopened++
		l.dial(&l.conns[l.unopened-1], now)
	}
	l.opensMore = false
}

func (l *loop) dial(k *conn, now int64) {
	var from *sockaddr
	if len(l.from) > 0 {
		from = &l.from[(k.index+k.dials)%len(l.from)]
	}
	if k.state != busy {
		k.dialed = now
	}
	k.dials++
	k.asked, k.stood, k.label = k.flying.size, false, ""
	fd, errno, where := open(&l.to, from)
	if errno != 0 {
		c := classify(errno)
		if where == "bind" {
			c = OtherFailed // the address has gone; ports are chosen by connect
		}
		l.fail(k, c, now, "%s: %v", where, errno)
		return
	}
	k.fd, k.state = fd, connecting
	k.age++
	l.opening++
	switch errno := connect(fd, &l.to); errno {
	case 0, unix.EINPROGRESS:
	case unix.EAGAIN:
		l.shut(k)
		k.state = busy
		l.later(k, now+busyPause)
		return
	default:
		l.fail(k, classify(errno), now, "connect: %v", errno)
		return
	}
	events := uint32(unix.EPOLLOUT)
	if l.plan.Mode == Churn && len(l.plan.greeting) == 0 {
		if events, errno = l.early(k); errno != 0 {
			l.fail(k, classify(errno), now, "connect: %v", errno)
			return
		}
	}
	l.watch(k, unix.EPOLL_CTL_ADD, events, now)
}

// early tries to send at once, because over loopback the connection is often
// established when connect returns. It returns the events to watch for.
func (l *loop) early(k *conn) (uint32, unix.Errno) {
	l.scratch = l.plan.request.append(l.scratch[:0], k.head().n)
	n, errno := send(k.fd, l.scratch)
	l.part.out += uint64(n)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		k.out = append(k.out[:0], l.scratch...)
		return unix.EPOLLOUT, 0
	case errno != 0:
		return 0, errno
	}
	l.established(k, ready)
	if n < len(l.scratch) {
		k.out = append(k.out[:0], l.scratch[n:]...)
		return unix.EPOLLIN | unix.EPOLLOUT, 0
	}
	return unix.EPOLLIN, 0
}

// watch says which events of the connection to wait for. It reports whether the
// connection still stands.
func (l *loop) watch(k *conn, op uintptr, events uint32, now int64) bool {
	errno := l.epoll.control(op, k.fd, events, k.index/l.plan.Loops, k.age)
	if errno != 0 {
		l.fail(k, OtherFailed, now, "epoll_ctl: %v", errno)
	}
	return errno == 0
}

func (l *loop) established(k *conn, next state) {
	k.state, k.stood = next, true
	l.opening--
	l.active++
	l.part.connections++
	if !l.run.reached.Load() { // all loops read it, and few write it
		l.run.reached.Store(true)
	}
}

func (l *loop) shut(k *conn) {
	if k.fd >= 0 {
		shut(k.fd) // it leaves the epoll set
		k.fd = -1
		if k.stood {
			l.active--
		} else {
			l.opening--
		}
	}
	k.age++ // events and timers under way are for an earlier age
	k.state, k.out = closed, k.out[:0]
}

func (l *loop) later(k *conn, at int64) {
	l.timers.add(timer{at: at, conn: int32(k.index / l.plan.Loops), age: k.age})
}

func (l *loop) onTimer(k *conn, now int64) {
	switch {
	case k.state == busy:
		l.dial(k, now)
	case k.state == resting && k.cut:
		k.cut = false
		l.fail(k, k.ended, now, "the server ended the connection while it was idle")
	case k.state == resting:
		k.state = ready
		l.available(k, now)
	case k.state == closed && l.plan.Mode == Churn:
		k.since = now
		l.available(k, now)
	case k.state == closed && !l.stopping:
		l.dial(k, now)
	}
}

func (l *loop) event(k *conn, events uint32) {
	if k.state == connecting {
		now := l.clock()
		if errno := pending(k.fd); errno != 0 {
			l.fail(k, classify(errno), now, "connect: %v", errno)
			return
		}
		l.connected(k, now)
		return
	}
	if len(k.out) > 0 && events&unix.EPOLLOUT != 0 && !l.transmit(k, k.out, l.clock()) {
		return
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		l.receive(k)
	}
}

func (l *loop) connected(k *conn, now int64) {
	l.established(k, ready)
	if !l.watch(k, unix.EPOLL_CTL_MOD, unix.EPOLLIN, now) {
		return
	}
	age := k.age
	if len(l.plan.greeting) > 0 {
		k.state, k.dialed = greeting, now
		k.answer.line = k.answer.line[:0]
		k.out = k.out[:0]
		l.write(k, l.plan.greeting, now)
	} else {
		l.startUsing(k, now)
	}
	if l.plan.Mode != Churn && k.age == age {
		l.openMore(now)
	}
}

// startUsing uses a connection that is established and has been greeted.
func (l *loop) startUsing(k *conn, now int64) {
	k.state, k.since = ready, now
	if l.plan.Mode != Churn {
		l.available(k, now)
		return
	}
	if len(k.out) == 0 { // else they are the rest of the request
		l.scratch = l.plan.request.append(l.scratch[:0], k.head().n)
		l.write(k, l.scratch, now)
		return
	}
	l.transmit(k, k.out, now)
}
