package worker

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"testing"
	"time"

	"prefork/ipc"
)

// In these tests the end of Run's context stands for SIGTERM.

// reported reports whether the worker has reported the state.
func (r *rig) reported(state string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.messages {
		if report, ok := m.(*ipc.Report); ok && report.State == state {
			return true
		}
	}
	return false
}

func TestTerminatedWorkerServesUntilItIsDrained(t *testing.T) {
	r := accepting(t, Config{DrainIdle: 20 * time.Millisecond}, Options{Handler: echo})
	r.cancel()
	eventually(t, "the report", func() bool { return r.reported(ipc.StateLeaving) })
	r.cancel()
	c := r.dial(0)
	ask(t, c, "x", "x")
	r.send(&ipc.Drain{TimeoutMS: long})
	expectEOF(t, c)
	r.drained()
	if r.reported(ipc.StateDraining) {
		t.Error("reported the master's drain to the master")
	}
}

// TERM goes to the master and to the worker, and either may get it first. The
// queue is emptied in both cases.
func TestTerminatedWorkerEmptiesTheQueue(t *testing.T) {
	drain := func(r *rig) { r.send(&ipc.Drain{TimeoutMS: long, Own: []string{"l0"}}) }
	for name, orders := range map[string]func(r *rig){
		"worker first": func(r *rig) {
			r.cancel()
			eventually(t, "the report", func() bool { return r.reported(ipc.StateLeaving) })
			drain(r)
		},
		"master first": func(r *rig) {
			drain(r)
			r.hasState(ipc.Emptying)
			r.cancel()
		},
	} {
		for _, mode := range []Mode{Threading, Sequential} {
			t.Run(name+" "+string(mode), func(t *testing.T) {
				// With fewer places than clients, the queue is not empty before they are served.
				r := accepting(t, Config{Mode: mode, MaxConnections: 1}, Options{Handler: HandlerFunc(func(_ context.Context, c *Conn) error {
					_, err := io.CopyN(c, c, 1)
					return err
				})})
				var clients []net.Conn
				for range 8 {
					clients = append(clients, r.dial(0))
				}
				eventually(t, "the others to queue", func() bool { return r.queued(0) == len(clients)-1 })
				orders(r)
				for _, c := range clients {
					ask(t, c, "x", "x")
				}
				r.drained()
			})
		}
	}
}

func TestTerminatedWorkerWithoutAnOrderEmptiesTheQueue(t *testing.T) {
	r := accepting(t, Config{Mode: Sequential, DrainIdle: 20 * time.Millisecond, DrainTimeout: 200 * time.Millisecond}, Options{Handler: echo})
	first := r.dial(0)
	ask(t, first, "x", "x")
	second := r.dial(0)
	if _, err := second.Write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second to queue", func() bool { return r.queued(0) == 1 })
	r.cancel()
	expectEOF(t, first)
	expect(t, second, "y")
	r.drained()
	r.logged("no order from the master, draining")
	if !r.reported(ipc.StateDraining) {
		t.Error("the worker did not tell the master, which could have replaced it at once")
	}
}

// A starting worker may be the only one that can empty the queue, so the master
// decides.
func TestTerminatedWorkerThatIsStartingBecomesReady(t *testing.T) {
	starting, release := make(chan struct{}), make(chan struct{})
	r := launch(t, Config{}, Options{Handler: echo, Configure: func(json.RawMessage, *Options) error {
		close(starting)
		<-release
		return nil
	}})
	within(t, "the start", starting)
	r.cancel()
	eventually(t, "the report", func() bool { return r.reported(ipc.StateLeaving) })
	close(release)
	eventually(t, "ready", func() bool { return got[*ipc.Ready](r) != nil })
	r.send(&ipc.Resume{})
	ask(t, r.dial(0), "x", "x")
	r.send(&ipc.Drain{})
	r.drained()
}
