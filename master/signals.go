package master

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"prefork/master/policy"
)

// signalTable is all that signals mean to a master. A nil event is handled by
// the mechanism itself.
var signalTable = map[os.Signal]struct {
	does  string
	event policy.Event
}{
	unix.SIGHUP:  {"reload", policy.Reload{}},
	unix.SIGTERM: {"drain", policy.Drain{}},
	unix.SIGINT:  {"drain, then stop", policy.Interrupt{}},
	unix.SIGQUIT: {"stop", policy.Stop{}},
	unix.SIGTTIN: {"one worker more", policy.Scale{N: +1}},
	unix.SIGTTOU: {"one worker fewer", policy.Scale{N: -1}},
	unix.SIGUSR1: {"reopen log files", nil},
	unix.SIGUSR2: {"nothing", nil}, // its default action would kill the master
	unix.SIGCHLD: {"reap orphans", nil},
	unix.SIGPIPE: {"nothing", nil}, // a broken standard error must not kill the master
}

// notifySignals starts delivery to the returned channel. It has room for a
// burst; the kernel merges equal signals that are pending anyway.
func notifySignals() (chan os.Signal, func()) {
	signals := make(chan os.Signal, 64)
	for s := range signalTable {
		signal.Notify(signals, s)
	}
	return signals, func() { signal.Stop(signals) }
}
