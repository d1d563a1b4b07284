package master

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// delivery imitates os/signal, which drops signals if the channel is full.
type delivery map[os.Signal]chan<- os.Signal

func (d delivery) notify(c chan<- os.Signal, sigs ...os.Signal) {
	for _, s := range sigs {
		d[s] = c
	}
}

func (d delivery) deliver(s os.Signal) {
	select {
	case d[s] <- s:
	default:
	}
}

func TestNoSignalIsLostAmongMany(t *testing.T) {
	commands := append(slices.Clone(ends), unix.SIGHUP, unix.SIGUSR1, unix.SIGTTIN, unix.SIGTTOU)
	for _, flood := range []os.Signal{unix.SIGHUP, unix.SIGUSR1, unix.SIGPIPE} {
		d := delivery{}
		queues := notifySignals(d.notify)
		if d[unix.SIGCHLD] != nil {
			t.Error("the master gets SIGCHLD; it should use pidfds")
		}
		for range 1000 {
			d.deliver(flood)
		}
		for _, s := range commands {
			d.deliver(s)
		}
		var heard []os.Signal
		for i, q := range queues {
			for len(q) > 0 && signalQueue(i) != queueIgnored {
				heard = append(heard, <-q)
			}
		}
		for _, s := range commands {
			if !slices.Contains(heard, s) {
				t.Errorf("%v was lost behind 1000 times %v", s, flood)
			}
		}
	}
}

// Two of these signals mean more than one, so they must not be merged.
func TestSignalsThatCountAreNotMerged(t *testing.T) {
	for _, s := range []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGTTIN, unix.SIGTTOU} {
		d := delivery{}
		queues := notifySignals(d.notify)
		d.deliver(s)
		d.deliver(s)
		if n := len(queues[signalTable[s].queue]); n != 2 {
			t.Errorf("of 2 times %v %d wait", s, n)
		}
	}
}

// ends are the signals that end a start.
var ends = []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGQUIT}

// withSignals returns a master that has not started and gets signals only from d.
func withSignals(d delivery) *Master {
	m := New(Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	m.signals = notifySignals(d.notify)
	return m
}

func TestASignalEndsTheStart(t *testing.T) {
	for _, s := range ends {
		d := delivery{}
		m := withSignals(d)
		d.deliver(unix.SIGHUP)
		released := false
		release, err := m.start(t.Context(), func(ctx context.Context) ([]func(), error) {
			d.deliver(s)
			<-ctx.Done() // like an unanswered lookup of a host name
			return []func(){func() { released = true }}, ctx.Err()
		})
		release()
		if err != nil || m.result == nil || m.exitError() != nil {
			t.Errorf("%v: the start returned %v, exit %+v", s, err, m.result)
		}
		if !released {
			t.Errorf("%v: what the start had acquired was kept", s)
		}
	}
}

// A step of the start that cannot be interrupted does not delay the end. What it
// acquires later is released.
func TestASignalEndsABlockedStart(t *testing.T) {
	d := delivery{}
	m := withSignals(d)
	stuck, released := make(chan struct{}), make(chan struct{})
	release, err := m.start(t.Context(), func(context.Context) ([]func(), error) {
		d.deliver(unix.SIGTERM)
		<-stuck // like the open of a pipe without a reader
		return []func(){func() { close(released) }}, nil
	})
	release()
	if err != nil || m.result == nil || m.exitError() != nil {
		t.Errorf("the start returned %v, exit %+v", err, m.result)
	}
	close(stuck)
	<-released
}

func TestTheEndOfTheContextEndsTheStart(t *testing.T) {
	m := withSignals(delivery{})
	ctx, cancel := context.WithCancel(t.Context())
	release, err := m.start(ctx, func(ctx context.Context) ([]func(), error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	})
	release()
	if err != nil || m.result == nil || m.exitError() != nil {
		t.Errorf("the start returned %v, exit %+v", err, m.result)
	}
}

func TestAReloadDuringTheStartRunsAfterIt(t *testing.T) {
	d := delivery{}
	m := withSignals(d)
	release, err := m.start(t.Context(), func(context.Context) ([]func(), error) {
		d.deliver(unix.SIGHUP)
		return nil, nil
	})
	release()
	if err != nil || m.result != nil {
		t.Fatalf("the start returned %v, exit %+v", err, m.result)
	}
	if s := <-m.signals[queueReload]; s != unix.SIGHUP {
		t.Errorf("%v waits", s)
	}
}

// A program may end Run's context at a signal that the master gets too, as
// signal.NotifyContext does. That must count as one request. A second request
// would end the drain.
func TestASignalThatAlsoEndsTheContextIsOneRequest(t *testing.T) {
	for range 8 { // the loop may receive either first
		g := generationOf(1, "", "tcp://127.0.0.1:0")
		g.Policy.LameDuck = 50 * time.Millisecond // long enough for the second to arrive
		r := start(t, Options{Generation: g})
		r.serves(1)
		err := r.master.do(t.Context(), func(m *Master) { // both wait for the next iteration of the loop
			m.signals[queueEnd] <- unix.SIGTERM
			r.stop()
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
		if r.log.FilterMessage("drain cut short").Len() > 0 {
			t.Errorf("the drain was cut short; log:\n%s", r.logText())
		}
	}
}
