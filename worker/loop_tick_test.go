package worker

import (
	"testing"
	"time"

	"prefork/ipc"
	"prefork/worker/poll"
)

// One wake-up of an idle worker does all of its periodic work, although each wake-up is
// a little late.
func TestAnIdleLoopWakesTwiceASecond(t *testing.T) {
	actions := 0
	w := &worker{
		cfg: Config{}.WithDefaults(), slot: new(ipc.Slot), peer: new(ipc.Peer),
		opt: Options{Handler: echo, Hooks: Hooks{ServiceActions: func() { actions++ }}},
	}
	if err := w.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := newLoop(w, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	began := ipc.Now()
	now, turns := began, 0
	run := func(until time.Duration) {
		for turns, actions = 0, 0; now < began+int64(until); turns++ {
			l.beat(now)
			l.tick(now)
			now = l.due(now) + int64(turns%4)*int64(time.Millisecond)
		}
	}
	run(5 * time.Second) // it ticks more often for a second, until it is idle
	const rest = 60
	run((5 + rest) * time.Second)
	if turns > 2*rest {
		t.Errorf("an idle loop wakes %d times in %d seconds", turns, rest)
	}
	if actions != 2*rest {
		t.Errorf("ServiceActions was called %d times in %d seconds, want once a poll_interval", actions, rest)
	}
	if late := now - w.slot.Beat.Load(); late > int64(gateStale) {
		t.Errorf("the heartbeat is %v old", time.Duration(late))
	}
}

// The timer that finds a stall would wake a thread of an idle worker.
func TestTheStallTimerIsOffWhileNoHandlerRuns(t *testing.T) {
	c, _ := connPair(t, "tcp", Config{})
	p, err := poll.New(poll.Epoll)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	e := newEvents(&worker{table: c.table}, p)
	e.begin()
	defer e.stall.stop()
	runs := func() bool { return e.stall.timer.Stop() }
	e.tick(1)
	if runs() {
		t.Error("it runs after a tick in which no handler ran")
	}
	handle := func() { _ = e.call(c, func() error { return nil }) }
	handle()
	if !runs() {
		t.Error("it does not run while a handler runs")
	}
	handle()
	e.tick(2)
	if !runs() {
		t.Error("it does not run after a tick in which a handler ran")
	}
}
