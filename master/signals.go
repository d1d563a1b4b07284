package master

import (
	"os"
	"os/signal"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/master/policy"
)

// signalTable defines all signals to a master. Those without an event are
// handled in Master.signal. Those in queueIgnored are caught only because their
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
	unix.SIGPIPE: {"nothing", nil, queueIgnored}, // from a broken standard error
}

// signalQueue says where a signal waits for the owner loop. os/signal drops
// signals when the channel is full, so a command never shares one with signals
// that can come in large numbers.
type signalQueue int

const (
	queueEnd     signalQueue = iota // also read while the server starts
	queueReload                     // one that waits stands for all
	queueReopen                     // one that waits stands for all
	queueOther                      // each counts
	queueIgnored                    // never read

	signalQueues = iota
)

// signals has a channel for each signalQueue. A full channel loses only
// repetitions.
type signals [signalQueues]chan os.Signal

// notifySignals starts delivery. notify is signal.Notify, except in tests.
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

func (s *signals) stop() {
	for _, c := range s {
		signal.Stop(c)
	}
}

// received logs a signal and returns its event, or nil.
func (m *Master) received(s os.Signal) policy.Event {
	entry := signalTable[s]
	m.log.Info("signal received", zap.String("signal", s.String()), zap.String("does", entry.does))
	return entry.event
}

// signal handles a signal.
func (m *Master) signal(s os.Signal) {
	ev := m.received(s)
	switch {
	case s == unix.SIGUSR1:
		m.reopenLogs()
	case ev != nil:
		m.step(ev)
	}
}

// drainOnce drains the server, unless it is ending. The program may have ended
// the context, or called Shutdown, because of a signal that also waits here, as
// signal.NotifyContext does. Both are one request: a second one would cut the
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
