package worker

import (
	"context"
	"net"
	"testing"
	"time"

	"prefork/ipc"
	"prefork/worker/poll"
)

func TestSequentialWorkerLeavesTheRestQueued(t *testing.T) {
	r := accepting(t, Config{Mode: Sequential}, Options{Handler: echo})
	first := r.dial(0)
	ask(t, first, "a", "a")
	second := r.dial(0)
	eventually(t, "the second to queue", func() bool { return r.queued(0) == 1 })
	ask(t, first, "b", "b")
	if n := r.slot.Accepted.Load(); n != 1 {
		t.Fatalf("accepted %d, want 1", n)
	}
	_ = first.Close()
	ask(t, second, "c", "c")
}

func TestBusySequentialWorkerHasAHeartbeat(t *testing.T) {
	r := accepting(t, Config{Mode: Sequential}, Options{Handler: echo})
	ask(t, r.dial(0), "a", "a")
	for range 3 {
		beat := r.slot.Beat.Load()
		eventually(t, "a heartbeat", func() bool { return r.slot.Beat.Load() > beat })
	}
}

func TestThreadingWorkerServesAtOnce(t *testing.T) {
	r := accepting(t, Config{}, Options{Handler: echo})
	var all []net.Conn
	for range 20 {
		c := r.dial(0)
		ask(t, c, "a", "a")
		all = append(all, c)
	}
	r.hasActive(20)
	for _, c := range all {
		ask(t, c, "b", "b")
		_ = c.Close()
	}
	r.hasActive(0)
	eventually(t, "the counts", func() bool {
		return r.slot.BytesIn.Load() == 40 && r.slot.BytesOut.Load() == 40 && r.slot.Handled.Load() == 20
	})
	sum := uint64(0)
	for i := range r.slot.Age.Counts {
		sum += r.slot.Age.Counts[i].Load()
	}
	if sum != 20 {
		t.Errorf("latency counted for %d connections, want 20", sum)
	}
}

func TestBytesOfALongConnectionAreCountedMeanwhile(t *testing.T) {
	r := accepting(t, Config{}, Options{Handler: echo})
	ask(t, r.dial(0), "abc", "abc")
	eventually(t, "three bytes", func() bool { return r.slot.BytesIn.Load() == 3 && r.slot.BytesOut.Load() == 3 })
}

func TestMaxConnectionsLeavesTheRestQueued(t *testing.T) {
	r := accepting(t, Config{MaxConnections: 2}, Options{Handler: echo})
	a, b := r.dial(0), r.dial(0)
	ask(t, a, "a", "a")
	ask(t, b, "b", "b")
	c := r.dial(0)
	eventually(t, "the third to queue", func() bool { return r.queued(0) == 1 })
	for range 2 { // the loop, which would have accepted it
		last := r.slot.Beat.Load()
		eventually(t, "another turn of the loop", func() bool { return r.slot.Beat.Load() != last })
	}
	if n := r.slot.Active.Load(); n != 2 || r.queued(0) != 1 {
		t.Fatalf("%d active and %d queued, want 2 and 1", n, r.queued(0))
	}
	r.hasState(ipc.Paused) // so that the master knows that the pool is full
	_ = a.Close()
	ask(t, c, "c", "c")
	_ = c.Close()
	r.hasState(ipc.Accepting)
}

// TestConnectionThatEndsMakesRoomAtOnce gives 200 connections less time than
// they would need if each waited for the next tick of the loop.
func TestConnectionThatEndsMakesRoomAtOnce(t *testing.T) {
	r := start(t, Config{Mode: Sequential, PollInterval: time.Second}, Options{Handler: HandlerFunc(func(_ context.Context, c *Conn) error {
		_, err := c.Write([]byte("!"))
		return err
	})})
	var all []net.Conn
	for range 200 {
		all = append(all, r.dial(0))
	}
	r.send(&ipc.Resume{})
	for _, c := range all { // their deadlines are patience from now
		expect(t, c, "!")
		_ = c.Close()
	}
}

func TestForkingWorkerTakesExactlyOne(t *testing.T) {
	r := accepting(t, Config{Mode: Forking}, Options{Handler: HandlerFunc(func(ctx context.Context, c *Conn) error {
		return echo(ctx, c)
	})})
	first := r.dial(0)
	eventually(t, "busy", func() bool {
		report := got[*ipc.Report](r)
		return report != nil && report.State == ipc.StateBusy
	})
	second := r.dial(0)
	ask(t, first, "a", "a")
	eventually(t, "the second to queue", func() bool { return r.queued(0) == 1 })
	_ = first.Close()
	if err := r.wait(); err != nil {
		t.Fatalf("Run returned %v, want nil", err)
	}
	if n := r.slot.Accepted.Load(); n != 1 {
		t.Errorf("accepted %d, want 1", n)
	}
	_ = second
}

func TestBusyForkingWorkerDrains(t *testing.T) {
	r := accepting(t, Config{Mode: Forking, DrainIdle: 20 * time.Millisecond}, Options{Handler: echo})
	c := r.dial(0)
	ask(t, c, "a", "a")
	r.send(&ipc.Drain{TimeoutMS: long})
	expectEOF(t, c)
	r.drained()
}

func TestForkingWorkerSurvivesARejectedConnection(t *testing.T) {
	rejected := false
	r := accepting(t, Config{Mode: Forking}, Options{Handler: echo, Hooks: Hooks{VerifyRequest: func(*Conn) bool {
		ok := rejected
		rejected = true
		return ok
	}}})
	expectEOF(t, r.dial(0))
	ask(t, r.dial(0), "a", "a")
}

func TestWorkerServesWithEveryPoller(t *testing.T) {
	for _, name := range poll.Names() {
		for _, mode := range []Mode{Threading, Sequential} {
			t.Run(name+" "+string(mode), func(t *testing.T) {
				r := accepting(t, Config{Poller: name, Mode: mode}, Options{Handler: echo}, "127.0.0.1:0", t.TempDir()+"/s")
				for i := range 20 {
					c := r.dial(i % 2)
					ask(t, c, "x", "x")
					_ = c.Close()
				}
				r.send(&ipc.Drain{TimeoutMS: long})
				r.drained()
			})
		}
	}
}
