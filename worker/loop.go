package worker

import (
	"errors"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/worker/poll"
)

// phase says from which listeners the loop accepts.
type phase uint8

const (
	phasePaused    phase = iota // none, before the first Resume
	phaseAccepting              // all
	phaseHeld                   // those that no other generation serves
	phaseEmptying               // those, until nothing waits: a drain has begun
	phaseDraining               // none
	phaseCutting                // none; the drain's deadline has passed
	phaseDone
)

// loop accepts connections, carries out orders, writes the heartbeat and drains.
// One goroutine owns it; others reach it through the inbox and the table.
//
//	┌────────────────────────────────────────────┐
//	│ tick: beat, hooks, sweep, report           │
//	│ orders: resume, drain …                    │
//	│ drain: the next step                       │
//	│ arm: watch the listeners, or do not        │
//	└───► wait ── ready ──► accept one, end the ─┘
//	                        turn after a few
type loop struct {
	*worker
	poller      poll.Poller
	listeners   []*listener
	events      *events // nil outside of mode Event
	*forkedLoop         // nil in a worker that was executed
	ready       []int
	orders      []any         // of the inbox, not carried out yet
	polled      []unix.PollFd // scratch of connectionWaits
	gate        gate
	lag         int64 // the longest delay since the last report, in ns

	phase          phase
	firstArmed     int        // the listener that is armed first, in turns
	lastTaken      bool       // no more connections: worker.once
	exitErr        *ExitError // what Run returns
	cut            int        // connections closed at the deadline
	serviceRuns    bool       // Service.Serve has not returned
	stopped        bool       // by an ipc.Stop
	lameDuckCalled bool

	exhaustion exhaustion
	drain      drain

	// In ipc.Now's time.
	startedAt   int64
	nextTick    int64
	nextActions int64
	nextReport  int64
	nextRejoin  int64
	nextTimeout int64 // of Config.Timeout; 0 is off
}

func newLoop(w *worker, listeners []*listener) (*loop, error) {
	if w.opt.Service != nil {
		w.service = newServiceListener(w.table, listeners[0].info.addr)
	}
	p, forked, err := newPoller(w)
	if err != nil {
		return nil, err
	}
	if err := p.Add(w.inbox.wake.fd); err != nil {
		_ = p.Close()
		return nil, err
	}
	now := ipc.Now()
	l := &loop{
		worker:      w,
		poller:      p,
		forkedLoop:  forked,
		listeners:   listeners,
		gate:        gate{slot: w.slot, board: w.board, self: w.index},
		serviceRuns: w.service != nil,
		startedAt:   now,
		nextActions: now + int64(w.cfg.PollInterval),
		nextReport:  now + int64(reportInterval),
	}
	if w.cfg.Mode == Event {
		l.events = newEvents(w, p)
	}
	return l, nil
}

func newPoller(w *worker) (poll.Poller, *forkedLoop, error) {
	if !w.forked {
		p, err := poll.New(w.cfg.Poller)
		return p, nil, err
	}
	f, err := newForkedLoop(w)
	if err != nil {
		return nil, nil, err
	}
	return f.yielding, f, nil
}

// run is serve_forever. It returns when the worker has drained or was stopped. In mode
// Event it may be called again, on another goroutine, after a handler has ended its own.
func (l *loop) run() error {
	now := ipc.Now()
	if l.events != nil {
		l.events.begin()
	}
	for {
		l.beat(now)
		l.tick(now)
		l.timeout(now)
		l.applyOrders(now)
		l.retryAccept(now)
		l.advance(now)
		if l.phase == phaseDone {
			return nil
		}
		l.arm(now)
		due := l.due(now)
		end := ipc.Now()
		l.lag = max(l.lag, end-now)
		var err error
		if now, err = l.wait(end, due); err != nil {
			return failure(err)
		}
	}
}

// wait waits until due, and serves what becomes ready. It returns when it has done
// something else than to serve connections in mode Event.
func (l *loop) wait(now, due int64) (int64, error) {
	if l.forkedLoop != nil {
		l.yielding.Yield(!l.isSpare())
	}
	for {
		ready, err := l.poller.Wait(l.ready[:0], time.Duration(max(due-now, 0)))
		if err != nil {
			return now, err
		}
		l.ready = ready
		now = ipc.Now()
		l.lag = max(l.lag, now-due)
		l.noteFreeze(now, now-due)
		if l.events == nil {
			l.takeReady(ready, now)
			return now, nil
		}
		others := l.events.serve(ready, now)
		l.takeReady(others, now)
		began := now
		now = l.events.observe()
		l.lag = max(l.lag, now-began)
		l.noteFreeze(now, now-began)
		if len(others) > 0 || now >= due {
			return now, nil
		}
	}
}

// takeReady handles the descriptors that are no connections.
func (l *loop) takeReady(ready []int, now int64) {
	for _, fd := range ready {
		switch {
		case fd == l.inbox.wake.fd:
			l.inbox.wake.clear()
		case l.forkedLoop != nil && l.takeForked(fd):
		default:
			l.take(fd, now)
		}
	}
}

// minFreeze is a delay of the loop that means that the process did not run.
const minFreeze = time.Second

// noteFreeze moves all deadlines if the process did not run for a while: the
// container was paused, or the machine was suspended. A handler in mode Event that has
// blocked the loop looks the same, and is no fault of the clients either.
func (l *loop) noteFreeze(now, late int64) {
	if late < int64(minFreeze) {
		return
	}
	l.log.Debug("worker did not run", zap.Duration("duration", time.Duration(late)))
	l.drain.postpone(late)
	l.table.resumedAt.Store(now)
	if l.nextTimeout > 0 {
		l.nextTimeout += late
	}
}

// timeout calls handle_timeout when there was no connection for Config.Timeout.
func (l *loop) timeout(now int64) {
	if l.cfg.Timeout <= 0 || l.phase != phaseAccepting || l.table.active() >= l.cfg.MaxConnections {
		l.nextTimeout = 0
		return
	}
	if l.nextTimeout == 0 {
		l.nextTimeout = now + int64(l.cfg.Timeout)
	}
	if now < l.nextTimeout {
		return
	}
	l.nextTimeout = now + int64(l.cfg.Timeout)
	l.callHook("timeout", l.opt.Hooks.HandleTimeout)
	if l.handlesOneRequest() {
		l.lastTaken = true
	}
}

// maxOrders is how many orders the loop carries out in one turn. The functions of
// Conn.Wake may be many.
const maxOrders = 256

// applyOrders carries out the orders in the inbox.
func (l *loop) applyOrders(now int64) {
	// The orders stay in l if the handler of a wakeConn ends this goroutine.
	l.orders = append(l.orders, l.inbox.take()...)
	for n := 0; len(l.orders) > 0 && n < maxOrders; n++ {
		order := l.orders[0]
		l.orders[0] = nil
		l.orders = l.orders[1:]
		switch o := order.(type) {
		case wakeConn:
			l.events.wake(o)
		case *ipc.Resume:
			l.resume()
		case *ipc.Drain:
			l.applyDrain(now, o)
		case *ipc.LameDuck:
			l.lameDuck()
		case *ipc.Stop:
			l.stopNow()
		case masterGone:
			if l.forked && l.phase == phasePaused { // its zygote has died: the master executes another
				l.stopNow()
				break
			}
			l.log.Warn("master is gone, draining", zap.Duration("duration", l.cfg.DrainTimeout))
			l.lameDuck()
			l.beginDrain(now, l.drainWithoutMaster())
		case terminated:
			l.terminate(now)
		case listenerLost:
			l.listenerLost(now, o.err)
		case serviceEnded:
			l.serviceEnded(now, o.err)
		case drainEnded:
			if o.err != nil {
				l.logFailure("service did not drain", o.err)
			}
		}
	}
}

// lameDuck tells the program that the whole server is going to end.
func (l *loop) lameDuck() {
	if l.lameDuckCalled {
		return
	}
	l.lameDuckCalled = true
	l.callHook("lame duck", l.opt.Hooks.HandleLameDuck)
	if s, ok := l.opt.Service.(LameDucker); ok {
		l.callHook("lame duck", s.HandleLameDuck)
	}
}

// due returns when the loop must wake. What was due before now has been done, or
// waits for something else.
func (l *loop) due(now int64) int64 {
	if len(l.orders) > 0 {
		return now
	}
	due := min(l.nextTick, l.nextActions, l.nextReport)
	for _, t := range [...]int64{
		l.nextTimeout, l.gate.until, l.exhaustion.retry,
		l.drain.startAt, l.drain.deadline, l.drain.graceUntil, l.drain.giveUpAt, l.drain.cutAt, l.drain.endAt,
	} {
		if t > now {
			due = min(due, t)
		}
	}
	return due
}

// close closes the listeners and the poller.
func (l *loop) close() {
	defer l.logSuppressed()
	if l.service != nil {
		l.service.end()
	}
	if l.events != nil {
		l.events.closeAll()
	}
	for _, ln := range l.listeners {
		l.closeListener(ln)
	}
	if l.exits {
		return
	}
	l.inbox.wake.close()
	_ = l.poller.Close()
}

// serviceEnded handles the return of Service.Serve. It is an error, unless the
// Service's listener was closed.
func (l *loop) serviceEnded(now int64, err error) {
	l.serviceRuns = false
	l.service.discard()
	if l.draining() || l.lastTaken {
		if err != nil {
			l.logFailure("service failed", err)
		}
		return
	}
	if err == nil {
		err = errors.New("it returned without an error")
	}
	l.logFailure("service ended early", err)
	l.exitErr = failure(err)
	l.beginDrain(now, drainOrder{timeout: l.cfg.DrainTimeout, ownDecision: true})
}

func (l *loop) resume() {
	if l.draining() || l.phase == phaseAccepting {
		return
	}
	l.phase = phaseAccepting
	l.log.Debug("accepting")
}
