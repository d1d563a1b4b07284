package master

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// only returns the one worker.
func only(m *Master) *worker {
	for _, w := range m.workers {
		return w
	}
	return nil
}

// If the master lacks something, here a valid descriptor, the worker is not
// failed. The order is sent later.
func TestAShortageInTheMasterDoesNotFailAWorker(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	pid := r.serves(1).Workers[0].PID
	r.untilLoop("the order", func(m *Master) bool {
		m.access.fd = 1 << 20 // no such descriptor: sendmsg fails with EBADF
		m.giveOrderToAll(ipc.TypeAccessLog)
		return true
	})
	tries := 0
	r.untilLoop("some tries", func(m *Master) bool {
		tries++
		return tries > 20
	})
	fd, err := unix.Dup(2)
	if err != nil {
		t.Fatal(err)
	}
	r.untilLoop("the end of the shortage", func(m *Master) bool {
		m.access.fd = fd
		return true
	})
	r.untilLoop("the worker to acknowledge", func(m *Master) bool { return !m.sendsWait && len(only(m).outbox.orders) == 0 })
	if s := r.serves(1); s.Workers[0].PID != pid {
		t.Errorf("the worker was replaced; log:\n%s", r.logText())
	}
	for line, want := range map[string]int{"messages to workers wait": 1, "messages to workers sent": 1, "worker unfit": 0} {
		if n := len(r.log.FilterMessage(line).All()); n != want {
			t.Errorf("%d lines %q, want %d", n, line, want)
		}
	}
}

func TestAnOrderIsRepeatedUntilItIsAcknowledged(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "forgetful", "tcp://127.0.0.1:0")})
	r.serves(1)
	r.post("log-level?level=debug")
	r.until("the fourth time", func(s Status) bool { return s.Totals.Handled == 4 })
	r.untilLoop("the worker to acknowledge", func(m *Master) bool { return len(only(m).outbox.orders) == 0 })
}

func TestAnUnacknowledgedOrderIsLoggedOnce(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "careless", "tcp://127.0.0.1:0")})
	pid := r.serves(1).Workers[0].PID
	r.post("log-level?level=debug")
	r.until("many tries", func(s Status) bool { return s.Totals.Handled > orderTries })
	if n := len(r.log.FilterMessage("worker does not acknowledge").All()); n != 1 {
		t.Errorf("%d lines about it, want 1; log:\n%s", n, r.logText())
	}
	if s := r.serves(1); s.Workers[0].PID != pid {
		t.Errorf("the worker was replaced; log:\n%s", r.logText())
	}
}

// A worker fails only if its channel stays full.
func TestAWorkerIsUnfitOnlyIfItsChannelStaysFull(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "unread", "tcp://127.0.0.1:0")})
	pid := r.serves(1).Workers[0].PID
	r.post("log-level?level=debug")
	r.untilLoop("a full channel", func(m *Master) bool {
		m.send(&only(m).link, &ipc.LameDuck{})
		return only(m).outbox.full
	})
	r.untilLoop("messages that wait in order", func(m *Master) bool {
		w := only(m)
		m.send(&w.link, &ipc.Drain{Hold: true})
		m.send(&w.link, &ipc.Resume{})
		m.send(&w.link, &ipc.Drain{Hold: true})
		var types []ipc.Type
		for _, q := range w.outbox.queue {
			types = append(types, q.Type())
		}
		if len(types) != 3 || types[0] != ipc.TypeLameDuck || types[1] != ipc.TypeResume || types[2] != ipc.TypeDrain {
			t.Errorf("what waits is %v, want lame_duck, resume and the last drain", types)
		}
		return true
	})
	before := r.sampled()
	r.untilLoop("samples, which look at the channel", func(*Master) bool { return r.sampled() > before+2 })
	if s := r.serves(1); s.Workers[0].PID != pid {
		t.Fatalf("the worker was replaced at once; log:\n%s", r.logText())
	}
	r.untilLoop("time to pass", func(m *Master) bool {
		only(m).outbox.since -= 20 * time.Second
		return true
	})
	r.until("a replacement", func(s Status) bool { return len(s.Workers) == 1 && s.Workers[0].PID != pid })
	if n := len(r.log.FilterMessage("worker unfit").All()); n != 1 {
		t.Errorf("%d lines of an unfit worker, want 1; log:\n%s", n, r.logText())
	}
}
