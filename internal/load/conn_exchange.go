package load

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// available uses a connection that could take a request.
func (l *loop) available(k *conn, now int64) {
	switch {
	case l.plan.Mode == Idle:
	case l.arrivals != nil:
		l.offer(k)
		l.dispatch(now)
	case l.plan.Mode == Churn:
		if k.takes(l.plan) && l.ticket(now) {
			l.begin(k, now, now)
		}
	default:
		l.fill(k, now)
	}
}

// fill sends as many requests as fit into the pipeline, in one piece.
func (l *loop) fill(k *conn, now int64) {
	if l.plan.request.static && len(k.flying.items) == 1 {
		if k.takes(l.plan) && l.ticket(now) {
			k.begin(now, now, l.number())
			l.inflight++
			l.write(k, l.plan.request.parts[0].text, now)
		}
		return
	}
	l.scratch = l.scratch[:0]
	for k.takes(l.plan) && len(l.scratch) < maxPayload && l.ticket(now) {
		n := l.number()
		k.begin(now, now, n)
		l.inflight++
		l.scratch = l.plan.request.append(l.scratch, n)
	}
	if len(l.scratch) > 0 {
		l.write(k, l.scratch, now)
	}
}

func (l *loop) begin(k *conn, due, now int64) {
	n := l.number()
	k.begin(due, now, n)
	l.inflight++
	if l.plan.Mode == Churn {
		l.dial(k, now)
		return
	}
	l.scratch = l.plan.request.append(l.scratch[:0], n)
	l.write(k, l.scratch, now)
}

// write sends a piece after what the socket has not taken yet.
func (l *loop) write(k *conn, p []byte, now int64) {
	if len(k.out) > 0 {
		k.out = append(k.out, p...)
		return
	}
	l.transmit(k, p, now)
}

// transmit sends a piece, which may be k.out, and keeps in k.out what the socket
// does not take. It reports whether the connection still stands.
func (l *loop) transmit(k *conn, p []byte, now int64) bool {
	n, errno := send(k.fd, p)
	l.part.out += uint64(n)
	if errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR {
		l.fail(k, classify(errno), now, "send: %v", errno)
		return false
	}
	waited := len(k.out) > 0
	k.out = append(k.out[:0], p[n:]...)
	switch {
	case len(k.out) > 0:
		return l.watch(k, unix.EPOLL_CTL_MOD, unix.EPOLLIN|unix.EPOLLOUT, now)
	case waited:
		return l.watch(k, unix.EPOLL_CTL_MOD, unix.EPOLLIN, now)
	}
	return true
}

func (l *loop) receive(k *conn) {
	n, errno := receive(k.fd, l.buffer)
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return
	}
	now := l.clock()
	if errno != 0 {
		l.lost(k, classify(errno), now, "read: %v", errno)
		return
	}
	if n == 0 {
		l.onEOF(k, now)
		return
	}
	l.part.in += uint64(n)
	l.consume(k, l.buffer[:n], now)
}

// consume reads what has come: the answer to the greeting, to one exchange, or
// to several of a pipeline.
func (l *loop) consume(k *conn, p []byte, now int64) {
	if k.state == greeting {
		n, line, whole, err := takeLine(&k.answer.line, p, maxLine)
		switch {
		case err != nil:
			l.fail(k, Wrong, now, "the answer to the greeting has no end")
		case whole && n < len(p):
			l.fail(k, Wrong, now, "more than a line answers the greeting: %.60q", p)
		case whole:
			k.label = cut(string(line), maxExample)
			l.startUsing(k, now)
		}
		return
	}
	if l.plan.Mode == Idle {
		return // whatever the server sends is ignored
	}
	e := &l.plan.expect
	for len(p) > 0 && k.flying.size > 0 {
		if !k.answer.begun {
			k.answer.begin(e, k.head().n)
		}
		n, v := k.answer.feed(e, p)
		if v == more {
			return
		}
		if v == right && k.flying.size == 1 && n < len(p) {
			v = wrong // there is more than the answer
		}
		switch v {
		case wrong:
			if len(k.answer.line) > 0 && e.kind == wantHTTP {
				p = k.answer.line // the body
			}
			l.fail(k, Wrong, now, "the answer is %.60q, expected %s", p, l.plan.expected())
			return
		case another:
			l.failStatus(k, now)
		default:
			l.succeed(k, now)
		}
		p = p[n:]
		if l.over(k, now) {
			return
		}
	}
	if len(p) > 0 {
		l.lost(k, Wrong, now, "unasked: %.60q", p)
		return
	}
	l.proceed(k, now)
}

// over closes a connection that the answer, the mode or the limit of requests
// ends, and reports whether it did.
func (l *loop) over(k *conn, now int64) bool {
	mine := l.plan.Mode == Churn || l.plan.PerConn > 0 && k.asked >= l.plan.PerConn && k.flying.size == 0
	if !mine && !(l.plan.target.http && k.answer.http.close) {
		return false
	}
	if k.flying.size > 0 {
		l.fail(k, EOF, now, "the server said that it closes, with requests in the pipeline")
		return true
	}
	l.shut(k)
	l.again(k, now, int64(l.plan.Pause))
	return true
}

func (l *loop) again(k *conn, now, pause int64) {
	switch {
	case l.plan.Mode == Churn && pause == 0:
		k.since = now
		l.available(k, now)
	default:
		l.later(k, now+pause)
	}
}

func (l *loop) proceed(k *conn, now int64) {
	if pause := int64(l.plan.Pause); pause > 0 && l.arrivals == nil {
		if k.flying.size == 0 {
			k.state, k.cut = resting, false
			l.later(k, now+pause)
		}
		return
	}
	if !k.queued {
		k.since = now
	}
	l.available(k, now)
}

// succeed counts the first exchange of a connection as answered.
func (l *loop) succeed(k *conn, now int64) {
	s := k.head()
	if s.due >= l.run.windowBegins {
		l.part.requests++
		l.requests++
		l.finished = now
		record(l.whole.uncorrected, now-s.sent)
		if l.whole.corrected != nil {
			record(l.whole.corrected, now-s.due)
		}
		l.part.record(now - s.due) // which is s.sent in a closed loop
	}
	k.end()
	l.inflight--
}

// failStatus counts an answer with another status than the expected.
func (l *loop) failStatus(k *conn, now int64) {
	if k.head().due >= l.run.windowBegins {
		l.countFailures(HTTPStatus, 1, k, now, "status %d, expected %s", k.answer.http.status, l.plan.expected())
	}
	k.end()
	l.inflight--
}

// countFailures counts n exchanges that failed together.
func (l *loop) countFailures(c Class, n int, k *conn, now int64, format string, args ...any) {
	l.part.errors += uint64(n)
	l.errors += uint64(n)
	l.finished = now
	l.run.failures.add(c, n, k, format, args...)
}

func (l *loop) onEOF(k *conn, now int64) {
	switch {
	case k.flying.size > 0 && k.state == ready:
		switch v := k.answer.end(&l.plan.expect); {
		case v == right && k.flying.size == 1:
			l.succeed(k, now)
		case v == another && k.flying.size == 1:
			l.failStatus(k, now)
		case v == wrong:
			l.fail(k, Wrong, now, "the body is another, expected %s", l.plan.expected())
			return
		case k.answer.begun:
			l.fail(k, Short, now, "the server closed in the middle of the answer")
			return
		default:
			l.fail(k, EOF, now, "the server closed and sent nothing")
			return
		}
		l.shut(k)
		l.again(k, now, int64(l.plan.Pause))
	default:
		l.lost(k, EOF, now, "the server closed the connection")
	}
}

// lost handles the end of a connection by the server. An idle one fails an
// exchange only if that was about to use it.
func (l *loop) lost(k *conn, c Class, now int64, format string, args ...any) {
	switch {
	case k.state == resting:
		l.shut(k)
		k.state, k.ended, k.cut = resting, c, true
		l.later(k, now) // reported at once: nothing else would use it
	case k.state == ready && k.flying.size == 0 && l.plan.Mode != Idle && c != Wrong:
		l.shut(k)
		l.again(k, now, 0)
	default:
		l.fail(k, c, now, format, args...)
	}
}

// fail counts the exchanges of a connection, or the one that was to come, as
// failed, and has the connection opened anew.
func (l *loop) fail(k *conn, c Class, now int64, format string, args ...any) {
	if (c == Refused || c == OtherFailed) && !l.run.reached.Load() {
		why := fmt.Sprintf(format, args...)
		l.run.refusal.CompareAndSwap(nil, &why)
	}
	failed := 0
	if k.flying.size == 0 {
		failed = l.failUnsent(k, now)
	}
	for ; k.flying.size > 0; k.end() {
		if k.head().due >= l.run.windowBegins {
			failed++
		}
		l.inflight--
	}
	if failed > 0 {
		l.countFailures(c, failed, k, now, format, args...)
	}
	l.shut(k)
	if l.plan.Mode != Idle {
		// By a timer even if it is at once: what fails at once would recurse.
		l.later(k, now+max(failurePause(c), int64(l.plan.Pause)))
	}
	if l.plan.Mode != Churn {
		l.openMore(now)
	}
}

// failUnsent returns 1 if a failure without an exchange counts as one, because it
// keeps the next exchange from beginning.
func (l *loop) failUnsent(k *conn, now int64) int {
	if a := l.arrivals; a != nil && !k.stood {
		// A connect fails the request that waits for it, if one is due.
		for !l.stopping && a.at <= now {
			if a.index >= l.run.limit {
				l.stop(now)
				return 0
			}
			due := a.at
			if a.next(); due >= l.run.windowBegins { // not one of the warm-up
				return 1
			}
		}
		return 0
	}
	if now >= l.run.windowBegins && (l.plan.Mode == Idle && !l.stopping || l.ticket(now)) {
		return 1
	}
	return 0
}
