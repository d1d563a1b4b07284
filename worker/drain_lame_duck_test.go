package worker

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"prefork/ipc"
)

// duck is a Service that counts the calls of HandleLameDuck.
type duck struct {
	calls    atomic.Int32
	drained  atomic.Bool
	tooLate  atomic.Bool // called after Drain
	finished chan struct{}
}

func (d *duck) HandleLameDuck() {
	d.tooLate.Store(d.drained.Load())
	d.calls.Add(1)
}

func (d *duck) Serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			<-d.finished
			return err
		}
		go func() {
			buf := make([]byte, 1)
			for n, err := c.Read(buf); err == nil; n, err = c.Read(buf) {
				_, _ = c.Write(buf[:n])
			}
			_ = c.Close()
		}()
	}
}

func (d *duck) Drain(context.Context) error {
	d.drained.Store(true)
	close(d.finished)
	return nil
}

func TestHandleLameDuckIsCalledOnce(t *testing.T) {
	service, hooks := &duck{finished: make(chan struct{})}, &duck{}
	r := accepting(t, Config{}, Options{Service: service, Hooks: Hooks{HandleLameDuck: hooks.HandleLameDuck}})
	r.send(&ipc.LameDuck{})
	r.send(&ipc.LameDuck{})
	eventually(t, "the call", func() bool { return service.calls.Load() > 0 && hooks.calls.Load() > 0 })
	c := r.dial(0)
	ask(t, c, "x", "x") // it still serves, also new clients
	_ = c.Close()
	r.send(&ipc.Drain{TimeoutMS: long})
	r.drained()
	if s, h := service.calls.Load(), hooks.calls.Load(); s != 1 || h != 1 {
		t.Errorf("called the service %d times, the hooks %d times", s, h)
	}
	if service.tooLate.Load() {
		t.Error("called after the drain had begun")
	}
}

func TestDrainOfOneWorkerDoesNotCallHandleLameDuck(t *testing.T) {
	service := &duck{finished: make(chan struct{})}
	r := accepting(t, Config{}, Options{Service: service})
	r.send(&ipc.Drain{TimeoutMS: long})
	r.drained()
	if n := service.calls.Load(); n != 0 {
		t.Errorf("called %d times, though the server does not end", n)
	}
}

func TestDeathOfTheMasterCallsHandleLameDuck(t *testing.T) {
	service := &duck{finished: make(chan struct{})}
	r := accepting(t, Config{}, Options{Service: service})
	_ = r.channel.Close()
	_ = r.wait()
	if n := service.calls.Load(); n != 1 || service.tooLate.Load() {
		t.Errorf("called %d times, too late: %t", n, service.tooLate.Load())
	}
}
