package worker

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

const long = int64(time.Hour / time.Millisecond)

// drained waits until the worker has ended without an error and returns its last
// message.
func (r *rig) drained() *ipc.Drained {
	r.t.Helper()
	if err := r.wait(); err != nil {
		r.t.Fatalf("Run returned %v, want nil", err)
	}
	eventually(r.t, "drained", func() bool { return got[*ipc.Drained](r) != nil })
	return got[*ipc.Drained](r)
}

// queued returns the number of queued connections of listener i.
func (r *rig) queued(i int) int {
	r.t.Helper()
	info, err := unix.GetsockoptTCPInfo(r.kept[i], unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		r.t.Fatal(err)
	}
	return int(info.Unacked)
}

func TestReadyWorkerAcceptsNothingBeforeResume(t *testing.T) {
	r := start(t, Config{}, Options{Handler: echo})
	c := r.dial(0)
	eventually(t, "the connection to queue", func() bool { return r.queued(0) == 1 })
	beat := r.slot.Beat.Load()
	eventually(t, "the loop to turn", func() bool { return r.slot.Beat.Load() > beat+int64(50*time.Millisecond) })
	if n := r.slot.Accepted.Load(); n != 0 {
		t.Fatalf("accepted %d before resume", n)
	}
	r.hasState(ipc.Paused)
	r.send(&ipc.Resume{})
	ask(t, c, "x", "x")
	r.hasState(ipc.Accepting)
}

func TestHeldWorkerKeepsItsConnectionsAndAcceptsNone(t *testing.T) {
	r := accepting(t, Config{DrainIdle: time.Nanosecond}, Options{Handler: echo})
	old := r.dial(0)
	ask(t, old, "a", "a")
	r.send(&ipc.Drain{Hold: true})
	r.hasState(ipc.Paused)
	late := r.dial(0)
	ask(t, old, "b", "b")
	eventually(t, "the late one to queue", func() bool { return r.queued(0) == 1 })
	r.send(&ipc.Resume{})
	ask(t, late, "c", "c")
	ask(t, old, "d", "d")
}

func TestHeldWorkerAcceptsFromItsOwnListeners(t *testing.T) {
	r := accepting(t, Config{DrainIdle: 20 * time.Millisecond}, Options{Handler: echo}, "127.0.0.1:0", "127.0.0.1:0")
	r.send(&ipc.Drain{Hold: true, Own: []string{"l1"}})
	r.logged("held")
	c := r.dial(0)
	ask(t, r.dial(1), "x", "x")
	eventually(t, "the shared listener's to queue", func() bool { return r.queued(0) == 1 })
	r.send(&ipc.Drain{TimeoutMS: long})
	r.drained()
	_ = c
}

func TestIdleWorkerDrainsAtOnce(t *testing.T) {
	r := accepting(t, Config{}, Options{Handler: echo})
	r.send(&ipc.Drain{TimeoutMS: long})
	if d := r.drained(); d.Cut != 0 {
		t.Errorf("cut %d connections, want 0", d.Cut)
	}
	if _, err := net.Dial("tcp", r.addrs[0]); err != nil {
		t.Errorf("the master's listener is closed: %v", err)
	}
}

func TestDrainServesAClientUntilItIsIdle(t *testing.T) {
	r := accepting(t, Config{DrainIdle: 2 * time.Second}, Options{Handler: echo})
	c := r.dial(0)
	ask(t, c, "a", "a")
	r.send(&ipc.Drain{TimeoutMS: long})
	r.hasState(ipc.Draining)
	// Each answer restarts DrainIdle.
	begin := time.Now()
	for time.Since(begin) < 3*time.Second {
		ask(t, c, "b", "b")
	}
	expectEOF(t, c)
	if d := r.drained(); d.Cut != 0 {
		t.Errorf("cut %d, want an end in good order", d.Cut)
	}
}

func TestDrainDoesNotCutAHandlerAtWork(t *testing.T) {
	release := make(chan struct{})
	var draining atomic.Bool
	r := accepting(t, Config{DrainIdle: 20 * time.Millisecond}, Options{Handler: HandlerFunc(func(_ context.Context, c *Conn) error {
		var b [1]byte
		if _, err := c.Read(b[:]); err != nil {
			return err
		}
		<-c.Draining()
		draining.Store(true)
		<-release // for longer than DrainIdle
		if _, err := c.Read(b[:]); err != nil {
			return err
		}
		_, err := c.Write(b[:])
		return err
	})})
	c := r.dial(0)
	if _, err := c.Write([]byte("a")); err != nil {
		t.Fatal(err)
	}
	r.hasActive(1)
	r.send(&ipc.Drain{TimeoutMS: long})
	eventually(t, "the handler to hear of it", draining.Load)
	until := ipc.Now() + int64(60*time.Millisecond)
	eventually(t, "three times DrainIdle", func() bool { return r.slot.Beat.Load() > until })
	close(release)
	// The handler reads only now, and the client answers within DrainIdle.
	ask(t, c, "b", "b")
	expectEOF(t, c)
	r.drained()
}

func TestDrainDeadlineEndsContextsThenConnections(t *testing.T) {
	order := make(chan string, 2)
	r := accepting(t, Config{}, Options{Handler: HandlerFunc(func(ctx context.Context, c *Conn) error {
		go func() {
			<-ctx.Done()
			if context.Cause(ctx) == ErrDrainDeadline {
				order <- "context"
			}
		}()
		_, err := c.Read(make([]byte, 1))
		order <- "connection"
		return err
	})})
	c := r.dial(0)
	r.hasActive(1)
	r.send(&ipc.Drain{TimeoutMS: 30})
	for _, want := range []string{"context", "connection"} {
		if got := within(t, want, order); got != want {
			t.Fatalf("%s ended first", got)
		}
	}
	if d := r.drained(); d.Cut != 1 {
		t.Errorf("cut %d connections, want 1", d.Cut)
	}
	expectEOF(t, c)
}

func TestHandlerThatReturnsWithItsContextIsNotCut(t *testing.T) {
	r := accepting(t, Config{}, Options{Handler: HandlerFunc(func(ctx context.Context, c *Conn) error {
		<-ctx.Done()
		_, err := c.Write([]byte("sorry"))
		return err
	})})
	c := r.dial(0)
	r.hasActive(1)
	r.send(&ipc.Drain{TimeoutMS: 10})
	expect(t, c, "sorry")
	if d := r.drained(); d.Cut != 0 {
		t.Errorf("cut %d connections, want 0", d.Cut)
	}
}

func TestHandlerThatIgnoresItsContextDoesNotKeepTheWorker(t *testing.T) {
	release := make(chan struct{})
	r := accepting(t, Config{}, Options{Handler: HandlerFunc(func(context.Context, *Conn) error {
		<-release
		return nil
	})})
	defer close(release)
	c := r.dial(0)
	r.hasActive(1)
	r.send(&ipc.Drain{TimeoutMS: 10})
	if d := r.drained(); d.Cut != 1 {
		t.Errorf("cut %d connections, want 1", d.Cut)
	}
	expectEOF(t, c)
}

func TestSecondDrainBringsTheDeadlineForward(t *testing.T) {
	r := accepting(t, Config{DrainIdle: time.Hour}, Options{Handler: echo})
	ask(t, r.dial(0), "x", "x")
	r.send(&ipc.Drain{TimeoutMS: long})
	r.hasState(ipc.Draining)
	r.send(&ipc.Drain{TimeoutMS: 0})
	if d := r.drained(); d.Cut != 1 {
		t.Errorf("cut %d connections, want 1", d.Cut)
	}
}

func TestMastersDeathDoesNotProlongADrain(t *testing.T) {
	r := accepting(t, Config{DrainIdle: time.Hour, DrainTimeout: time.Hour}, Options{Handler: echo})
	c := r.dial(0)
	ask(t, c, "x", "x")
	r.send(&ipc.Drain{TimeoutMS: 500})
	r.hasState(ipc.Draining)
	_ = r.channel.Close()
	expectEOF(t, c)
	if err := r.wait(); err != nil {
		t.Fatalf("Run returned %v, want nil", err)
	}
}

func TestFinalDrainEmptiesItsOwnListeners(t *testing.T) {
	for _, mode := range []Mode{Threading, Sequential} {
		t.Run(string(mode), func(t *testing.T) {
			// With fewer places than clients, the queue is not empty before they
			// are served, even if this goroutine runs late.
			r := start(t, Config{Mode: mode, MaxConnections: 2, DrainIdle: time.Hour}, Options{Handler: HandlerFunc(func(_ context.Context, c *Conn) error {
				_, err := io.CopyN(c, c, 1)
				return err
			})}, "127.0.0.1:0", "127.0.0.1:0")
			shared := r.dial(0)
			var own []net.Conn
			for range 8 {
				own = append(own, r.dial(1))
			}
			eventually(t, "all to queue", func() bool { return r.queued(0) == 1 && r.queued(1) == len(own) })
			r.send(&ipc.Drain{TimeoutMS: long, GraceMS: 30, Own: []string{"l1"}})
			r.hasState(ipc.Emptying)
			own = append(own, r.dial(1)) // connects while the worker empties the queue
			for _, c := range own {
				ask(t, c, "x", "x")
			}
			r.drained()
			if r.queued(0) != 1 {
				t.Error("accepted a connection from the shared listener")
			}
			_ = shared
		})
	}
}

// A master without the privilege to filter SYNs sets a hop limit on its
// listeners. Connections inherit it, and their answers would not reach the
// client.
func TestFinalDrainRemovesTheHopLimit(t *testing.T) {
	limited := make(chan error, 1)
	r := accepting(t, Config{DrainIdle: patience}, Options{Handler: HandlerFunc(func(_ context.Context, c *Conn) error {
		limited <- c.control("set", func(fd int) error {
			return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MINTTL, 255)
		})
		_, err := io.Copy(c, c)
		return err
	})})
	c := r.dial(0)
	if err := within(t, "the hop limit", limited); err != nil {
		t.Fatal(err)
	}
	r.send(&ipc.Drain{TimeoutMS: long, GraceMS: 30, Own: []string{"l0"}})
	r.hasState(ipc.Draining)
	ask(t, c, "a", "a")
	_ = c.Close()
	r.drained()
}

func TestDeadlineEndsEmptyingToo(t *testing.T) {
	r := accepting(t, Config{Mode: Sequential, DrainIdle: time.Hour}, Options{Handler: echo})
	ask(t, r.dial(0), "x", "x")
	r.dial(0) // would wait for ever
	r.send(&ipc.Drain{TimeoutMS: 50, Own: []string{"l0"}})
	if d := r.drained(); d.Cut != 1 {
		t.Errorf("cut %d connections, want 1", d.Cut)
	}
	r.logged("listeners not empty in time")
}

func TestMastersDeathDrainsTheWorker(t *testing.T) {
	r := accepting(t, Config{DrainIdle: 20 * time.Millisecond, DrainTimeout: time.Hour}, Options{Handler: echo})
	c := r.dial(0)
	ask(t, c, "x", "x")
	_ = r.channel.Close()
	expectEOF(t, c)
	if err := r.wait(); err != nil {
		t.Fatalf("Run returned %v, want nil", err)
	}
	r.logged("master is gone, draining")
}

func TestMastersDeathEmptiesTheQueue(t *testing.T) {
	r := accepting(t, Config{Mode: Sequential, DrainIdle: 20 * time.Millisecond, DrainTimeout: time.Hour}, Options{Handler: echo})
	first := r.dial(0)
	ask(t, first, "x", "x")
	second := r.dial(0)
	eventually(t, "the second to queue", func() bool { return r.queued(0) == 1 })
	// The client sends before it is accepted, so that it does not count as idle.
	if _, err := second.Write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	_ = r.channel.Close()
	expectEOF(t, first)
	expect(t, second, "y")
	expectEOF(t, second)
	_ = r.wait()
}

func TestDrainThatTheMasterOrderedIsNotReported(t *testing.T) {
	r := accepting(t, Config{}, Options{Handler: echo})
	r.send(&ipc.Drain{TimeoutMS: long})
	r.drained()
	if r.reported(ipc.StateDraining) {
		t.Error("reported the master's drain to the master")
	}
}

func TestStopEndsAtOnce(t *testing.T) {
	r := accepting(t, Config{DrainIdle: time.Hour}, Options{Handler: echo})
	c := r.dial(0)
	ask(t, c, "x", "x")
	r.send(&ipc.Stop{})
	if err := r.wait(); err != nil {
		t.Fatalf("Run returned %v, want nil", err)
	}
	expectEOF(t, c)
	eventually(t, "the report of what was cut", func() bool { return got[*ipc.Drained](r) != nil })
	if n := got[*ipc.Drained](r).Cut; n != 1 {
		t.Errorf("reported %d cut connections, want 1", n)
	}
	if handled, failed := r.slot.Handled.Load(), r.slot.Failed.Load(); handled != 0 || failed != 1 {
		t.Errorf("counted %d handled and %d failed, want 0 and 1", handled, failed)
	}
}

func TestStopOfAnIdleWorkerCutsNothing(t *testing.T) {
	r := accepting(t, Config{}, Options{Handler: echo})
	r.send(&ipc.Stop{})
	if err := r.wait(); err != nil {
		t.Fatalf("Run returned %v, want nil", err)
	}
	if got[*ipc.Drained](r) != nil {
		t.Error("reported drained after stop")
	}
}

func TestStopEndsEvenAWorkerWhoseLoopHangs(t *testing.T) {
	release := make(chan struct{})
	r := accepting(t, Config{}, Options{Handler: echo, Hooks: Hooks{VerifyRequest: func(*Conn) bool { <-release; return false }}})
	r.dial(0)
	r.send(&ipc.Stop{})
	if err := r.wait(); err != nil {
		t.Fatalf("Run returned %v, want nil", err)
	}
	close(release)
}
