package load

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// idleWait is how long a loop waits before it checks whether to stop.
const idleWait = int64(50e6)

// maxOpening is how many connects a loop has under way when a run begins. If
// there are more than a small listen queue holds, the kernel drops some, and
// they are established a second late.
const maxOpening = 64

// loop is one thread of a run. It owns its connections and everything here but
// live.
type loop struct {
	run   *Run
	plan  *plan
	id    int
	epoll *poll
	conns []conn
	to    sockaddr
	from  []sockaddr

	timers   timers
	arrivals *arrivals   // nil: a closed loop
	free     ring[int32] // open loop: connections that can take a request
	buffer   []byte      // what is read
	scratch  []byte      // what is written

	count       uint64 // requests so far, from which their numbers follow
	tickets     uint64 // requests that may still be begun before asking for more
	inflight    int    // exchanges that have begun and not ended
	opening     int    // connects under way, of those that stay
	unopened    int    // the first connection that has not been opened yet
	opensMore   bool   // openMore is under way
	active      int    // connections that stand
	stopping    bool
	warm        bool  // the window has not begun
	nextScan    int64 // for what has timed out
	nextFlush   int64 // of the second's part
	part        *part
	whole       *latencies
	lateMax     int64
	turned      int64 // when the last turn ended
	frozenUntil int64 // when the process last ran again after a freeze
	frozenMax   int64 // the longest freeze
	unsent      uint64
	cpuBegan    int64 // of the thread, when the window began
	cpuUsed     int64 // in the window
	finished    int64 // when the last exchange of the window ended

	live struct {
		requests, errors atomic.Uint64
		active           atomic.Int64
	}
	requests, errors uint64 // as in live
}

func (r *Run) newLoop(id int) (*loop, error) {
	p := r.plan
	l := &loop{
		run: r, plan: p, id: id, to: r.to, from: r.from, warm: true,
		buffer: make([]byte, 64<<10), part: newPart(id), whole: newLatencies(p.open()),
	}
	n := p.Connections / p.Loops
	if id < p.Connections%p.Loops {
		n++
	}
	l.conns = make([]conn, n)
	exchanges := make([]exchange, n*p.Pipeline)
	for i := range l.conns {
		l.conns[i] = conn{fd: -1, index: id + i*p.Loops, flying: ring[exchange]{items: exchanges[i*p.Pipeline : (i+1)*p.Pipeline]}}
	}
	l.free.items = make([]int32, n)
	if p.open() {
		l.arrivals = newArrivals(r.schedule, id, p.Loops)
	}
	var err error
	l.epoll, err = newPoll(r.unseen)
	return l, err
}

// clock returns the nanoseconds since the run began.
func (l *loop) clock() int64 { return int64(time.Since(l.run.began)) }

func (l *loop) work() {
	runtime.LockOSThread()
	if l.plan.OnThread == nil {
		defer runtime.UnlockOSThread()
	}
	// The default slack would end each sleep 50 µs after the next request is due.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	defer l.close()
	l.nextFlush = math.MaxInt64
	now := l.clock()
	if prepare := l.plan.OnThread; prepare != nil {
		if err := prepare(); err != nil {
			l.fail(&l.conns[0], OtherFailed, now, "prepare thread: %v", err)
			l.stop(now)
		}
	}
	l.openMore(now)
	l.turned = l.clock()
	for l.advance(now) {
		events := l.epoll.wait(l.wake() - now)
		now = l.clock()
		for i := range events {
			e := &events[i]
			if k := &l.conns[e.Fd]; k.age == e.Pad && k.fd >= 0 {
				l.event(k, e.Events)
			}
		}
		if len(events) > 0 {
			now = l.clock()
		}
		l.noteFreeze(now)
		l.expire(now)
		if l.arrivals != nil {
			l.dispatch(now)
		}
		l.publish()
	}
}

// freeze is longer than any turn of a loop that runs: it waits for idleWait at
// most, and works for milliseconds. After it the process was frozen.
const freeze = int64(time.Second)

// noteFreeze notices when the process did not run. The server may have answered
// meanwhile, so everything that waits gets its whole timeout from here on.
func (l *loop) noteFreeze(now int64) {
	if gap := now - l.turned; gap >= freeze {
		l.frozenUntil, l.frozenMax = now, max(l.frozenMax, gap)
	}
	l.turned = now
}

// advance handles the beginning of the window, the end of each second and the end
// of the window. It reports whether there is more to do.
func (l *loop) advance(now int64) bool {
	if l.warm && now >= l.run.windowBegins {
		l.warm = false
		l.nextFlush = l.run.windowBegins + int64(time.Second)
		l.cpuBegan = threadCPU()
		l.part.in, l.part.out = 0, 0
	}
	end := l.run.windowEnds.Load()
	if now >= l.nextFlush && now < end {
		l.flush(now)
	}
	if !l.stopping && now >= end {
		l.stop(end)
	}
	return !(l.stopping && l.inflight == 0) && !l.run.cancelled.Load()
}

// stop lets no more exchanges begin. What is due by end has not been sent.
func (l *loop) stop(end int64) {
	l.stopping, l.nextFlush = true, math.MaxInt64
	if !l.warm {
		l.cpuUsed = threadCPU() - l.cpuBegan
	}
	if a := l.arrivals; a != nil {
		due := min(a.schedule.before(end), l.run.limit)
		if due > a.index {
			l.unsent = (due - a.index + a.step - 1) / a.step
		}
	}
}

// wake returns when the loop has something to do even without an event.
func (l *loop) wake() int64 {
	at := min(l.nextScan, l.nextFlush)
	if len(l.timers) > 0 {
		at = min(at, l.timers[0].at)
	}
	if l.arrivals != nil && l.free.size > 0 && !l.stopping {
		at = min(at, l.arrivals.at)
	}
	if !l.stopping {
		at = min(at, l.run.windowEnds.Load())
	}
	if l.warm {
		at = min(at, l.run.windowBegins)
	}
	return at
}

// expire runs the timers that are due, and fails what has timed out.
func (l *loop) expire(now int64) {
	for len(l.timers) > 0 && l.timers[0].at <= now {
		t := l.timers.take()
		if k := &l.conns[t.conn]; k.age == t.age {
			l.onTimer(k, now)
		}
	}
	if now < l.nextScan {
		return
	}
	timeout, connect := int64(l.plan.Timeout), int64(l.plan.Connect)
	for i := range l.conns {
		if k := &l.conns[i]; k.expired(now, l.frozenUntil, timeout, connect) {
			l.fail(k, Timeout, now, "no whole answer within %v", l.plan.Timeout)
		}
	}
	l.nextScan = now + min(max(min(timeout, connect)/16, 1e6), idleWait)
}

// dispatch sends the requests that are due, as long as connections are free.
func (l *loop) dispatch(now int64) {
	a := l.arrivals
	for a.at <= now && l.free.size > 0 && !l.stopping && now < l.run.windowEnds.Load() {
		if a.index >= l.run.limit {
			l.stop(now)
			return
		}
		k := &l.conns[l.free.pop()]
		k.queued = false
		if !k.takes(l.plan) {
			continue
		}
		due := a.at
		a.next()
		if due >= l.run.windowBegins {
			l.lateMax = max(l.lateMax, now-max(due, k.since))
		}
		l.begin(k, due, now)
		l.offer(k)
		now = l.clock()
	}
	if a.at == math.MaxInt64 && !l.stopping {
		l.stop(now)
	}
}

// offer puts a connection into the queue of those that can take a request.
func (l *loop) offer(k *conn) {
	if !k.queued && k.takes(l.plan) {
		k.queued = true
		l.free.push(int32(k.index / l.plan.Loops))
	}
}

// ticket reports whether another exchange may begin.
func (l *loop) ticket(now int64) bool {
	if l.stopping || now >= l.run.windowEnds.Load() {
		return false
	}
	if l.arrivals != nil || l.run.limit == math.MaxUint64 || now < l.run.windowBegins {
		return true
	}
	if l.tickets == 0 {
		if l.tickets = l.run.moreTickets(); l.tickets == 0 {
			l.stop(now)
			return false
		}
	}
	l.tickets--
	return true
}

// number returns a number that no other request of the run has.
func (l *loop) number() uint64 {
	l.count++
	return (l.count-1)*uint64(l.plan.Loops) + uint64(l.id) + 1
}

// flush hands over the part of a second, and begins another.
func (l *loop) flush(now int64) {
	l.hand(false)
	past := (now - l.run.windowBegins) / int64(time.Second)
	l.part.second = int(past)
	l.nextFlush = l.run.windowBegins + (past+1)*int64(time.Second)
}

// hand gives the part to the collector and begins another.
func (l *loop) hand(last bool) {
	l.part.active, l.part.last = l.active, last
	if last {
		l.part.whole = l.whole
	}
	l.run.parts <- l.part
	l.part = newPart(l.id)
}

func (l *loop) publish() {
	l.live.requests.Store(l.requests)
	l.live.errors.Store(l.errors)
	l.live.active.Store(int64(l.active))
}

func (l *loop) close() {
	if !l.stopping {
		l.stop(l.clock())
	}
	l.part.standing = l.active
	l.hand(true)
	l.live.active.Store(0)
	for i := range l.conns {
		if l.conns[i].fd >= 0 {
			shut(l.conns[i].fd)
		}
	}
	l.epoll.close()
}

// threadCPU returns the CPU time of the calling thread, in nanoseconds.
func threadCPU() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return ts.Nano()
}
