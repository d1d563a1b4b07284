package worker

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"prefork/ipc"
)

// A paused container is continued later than the drain's deadline: its clients
// have what was left of it.
func TestAFreezeDoesNotShortenADrain(t *testing.T) {
	workers, addr := crewOf(t, 1, "echo", Config{DrainIdle: time.Second})
	w, c := workers[0], dial(t, addr)
	ask(t, c, "x", "x")
	if err := w.channel.Send(&ipc.Drain{TimeoutMS: 3000}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the drain", func() bool { return ipc.WorkerState(w.slot.State.Load()) == ipc.Draining })
	w.stop()
	length := time.NewTimer(4 * time.Second)
	<-length.C
	w.signal(syscall.SIGCONT)
	for begin := time.Now(); time.Since(begin) < cutGrace+300*time.Millisecond; {
		ask(t, c, "x", "x")
	}
	expectEOF(t, c) // it has fallen silent
	if status := w.exit(); status.ExitStatus() != 0 {
		t.Errorf("exit status %d", status.ExitStatus())
	}
}

func TestOnlyALongSleepIsAFreeze(t *testing.T) {
	c, _ := connPair(t, "tcp", Config{})
	l := &loop{worker: &worker{log: zap.NewNop(), table: c.table}, drain: drain{startAt: 50, deadline: 100, cutAt: 200}, nextTimeout: 300}
	l.noteFreeze(7, int64(minFreeze)-1)
	if l.drain.deadline != 100 || c.table.resumedAt.Load() != 0 {
		t.Error("a loop that is a little late moves a deadline")
	}
	l.noteFreeze(7, int64(minFreeze))
	if want := (drain{startAt: 50 + int64(minFreeze), deadline: 100 + int64(minFreeze), cutAt: 200 + int64(minFreeze)}); l.drain != want {
		t.Errorf("the drain's times are %+v, want %+v", l.drain, want)
	}
	if l.nextTimeout != 300+int64(minFreeze) || c.table.resumedAt.Load() != 7 {
		t.Errorf("the next timeout is at %d, the thaw was at %d", l.nextTimeout, c.table.resumedAt.Load())
	}
}

func TestAFreezeDoesNotCountAsIdle(t *testing.T) {
	const limit = time.Minute
	for name, begin := range map[string]func(*connTable){
		"idle":  func(*connTable) {},
		"drain": func(t *connTable) { t.beginDrain(1) },
	} {
		cfg := Config{IdleTimeout: limit}
		if name == "drain" {
			cfg = Config{DrainIdle: limit}
		}
		c, _ := connPair(t, "tcp", cfg)
		begin(c.table)
		c.acceptedAt = 1
		c.lastByteAt.Store(1)
		c.readingSince.Store(1)
		now := ipc.Now()
		if c.table.checkIdle(c, now+int64(limit)) == notIdle {
			t.Errorf("%s: a silent client is not idle", name)
		}
		c.table.resumedAt.Store(now)
		if c.table.checkIdle(c, now+int64(limit)-1) != notIdle {
			t.Errorf("%s: idle, though the time before the end of the freeze does not count", name)
		}
		if c.table.checkIdle(c, now+int64(limit)) == notIdle {
			t.Errorf("%s: silent since the end of the freeze, and not idle", name)
		}
	}
}

// Bytes that came in a freeze are read when the timeout of the read is over. They may
// come a moment after the write, so the read is repeated as a handler would.
func TestReadTimeoutReturnsBytesThatCameInAFreeze(t *testing.T) {
	eachNetwork(t, func(t *testing.T, c *Conn, client net.Conn) {
		c.table.cfg.ReadTimeout = time.Nanosecond // over before any system call
		if _, err := client.Write([]byte("late")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 8)
		eventually(t, "the bytes", func() bool {
			n, err := c.Read(got)
			return err == nil && string(got[:n]) == "late"
		})
		_, err := c.Read(got)
		wantTimeout(t, err)
		if err := c.SetReadDeadline(longAgo); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		_, err = c.Read(got) // a deadline that has passed reads nothing, as in net.Conn
		wantTimeout(t, err)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}
