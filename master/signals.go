package master

import (
	"os"
	"os/signal"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/master/policy"
)

// signalTable is all that signals mean to a master. A nil event is handled by
// the mechanism itself. A signal in queue ignored is only caught, because its
// default action would end the master.
var signalTable = map[os.Signal]struct {
	does  string
	event policy.Event
	queue signalQueue
}{
	unix.SIGTERM: {"drain", policy.Drain{}, queueEnd},
	unix.SIGINT:  {"drain, then stop", policy.Interrupt{}, queueEnd},
	unix.SIGQUIT: {"stop", policy.Stop{}, queueEnd},
	unix.SIGHUP:  {"reload", policy.Reload{}, queueReload},
	unix.SIGUSR1: {"reopen log files", nil, queueReopen},
	unix.SIGTTIN: {"one worker more", policy.Scale{By: +1}, queueOther},
	unix.SIGTTOU: {"one worker fewer", policy.Scale{By: -1}, queueOther},
	unix.SIGUSR2: {"nothing", nil, queueOther},
	unix.SIGPIPE: {"nothing", nil, queueIgnored}, // of a broken standard error
}

// signalQueue says where a signal waits for the owner loop. os/signal drops
// what a channel has no room for, so no command may share one with a signal
// that can come in numbers.
type signalQueue int

const (
	queueEnd     signalQueue = iota // also read while the server starts
	queueReload                     // one that waits stands for all
	queueReopen                     // one that waits stands for all
	queueOther                      // each counts
	queueIgnored                    // nobody reads it

	signalQueues = iota
)

// signals are the channels by signalQueue. A channel that is full loses
// nothing that matters: its signals are repetitions of what waits in it.
type signals [signalQueues]chan os.Signal

// notifySignals starts delivery. notify is signal.Notify, or a test's.
func notifySignals(notify func(chan<- os.Signal, ...os.Signal)) *signals {
	s := &signals{
		queueEnd:     make(chan os.Signal, 64),
		queueReload:  make(chan os.Signal, 1),
		queueReopen:  make(chan os.Signal, 1),
		queueOther:   make(chan os.Signal, 64),
		queueIgnored: make(chan os.Signal, 1),
	}
	for sig, entry := range signalTable {
		notify(s[entry.queue], sig)
	}
	return s
}

// stop ends delivery.
func (s *signals) stop() {
	for _, c := range s {
		signal.Stop(c)
	}
}

// received logs a signal and returns what the policy is to be told of it, or
// nil.
func (m *Master) received(s os.Signal) policy.Event {
	entry := signalTable[s]
	m.log.Info("signal received", zap.String("signal", s.String()), zap.String("does", entry.does))
	return entry.event
}

// signal acts on a signal to the master.
func (m *Master) signal(s os.Signal) {
	ev := m.received(s)
	switch {
	case s == unix.SIGUSR1:
		m.reopenLog()
		m.reopenAccess()
	case ev != nil:
		m.step(ev)
	}
}

// drainOnce drains the server, unless it ends already. The program may have
// ended the context or called Shutdown at a signal that waits here, too, as
// signal.NotifyContext does: that is one request, and a second one would cut the
// drain short.
func (m *Master) drainOnce() {
	if m.machine.Ending() {
		return
	}
	select {
	case s := <-m.signals[queueEnd]:
		m.signal(s)
	default:
		m.step(policy.Drain{})
	}
}
