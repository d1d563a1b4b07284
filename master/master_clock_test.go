package master

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

func TestThePolicyClockStopsWhileTheMasterDoesNotRun(t *testing.T) {
	start := time.Now()
	c := clock{}
	read := func(at, want time.Duration) {
		t.Helper()
		if got := c.now(start.Add(at)); got != want {
			t.Errorf("the clock at %v is %v, want %v", at, got, want)
		}
	}
	read(0, 0)
	read(time.Hour, time.Hour) // nothing is due: the first readings set the clock
	c.due = start.Add(time.Hour)
	read(time.Hour+time.Second, time.Hour+time.Second)
	read(time.Hour+2500*time.Millisecond, time.Hour+2500*time.Millisecond) // a long turn, but not an absence
	c.due = start.Add(time.Hour + 10*time.Second)
	read(time.Hour+10500*time.Millisecond, time.Hour+10500*time.Millisecond) // late
	if c.absent != 0 || c.returned != 0 {
		t.Errorf("an absence of %v, want none", c.absent)
	}
	c.due = start.Add(time.Hour + 20*time.Second)
	read(2*time.Hour, time.Hour+10500*time.Millisecond)
	read(2*time.Hour+time.Second, time.Hour+11500*time.Millisecond)
	if want := time.Hour - 20*time.Second; c.absent != want {
		t.Errorf("an absence of %v, want %v", c.absent, want)
	}
}

// An idle master may sleep for ten seconds. If a message wakes it early and it does not
// run in the middle of its work, that is no sleep.
func TestAnAbsenceWhileTheMasterWorksIsNoSleep(t *testing.T) {
	start := time.Now()
	c := clock{}
	c.now(start)
	c.due = start.Add(10 * time.Second)
	c.woke(start.Add(time.Second))
	if got := c.now(start.Add(8 * time.Second)); got != time.Second || c.absent != 7*time.Second {
		t.Errorf("the clock is %v after an absence of %v, want 1s and 7s", got, c.absent)
	}
	c = clock{}
	c.now(start)
	c.due = start.Add(10 * time.Second)
	c.woke(start.Add(10 * time.Second)) // as it wanted
	if got := c.now(start.Add(10 * time.Second)); got != 10*time.Second || c.absent != 0 {
		t.Errorf("the clock is %v after an absence of %v, want 10s and none", got, c.absent)
	}
}

// After a freeze the first sample finds only old heartbeats.
func TestSilenceDoesNotCountWhileTheMasterDoesNotRun(t *testing.T) {
	c := clock{due: time.Now().Add(-time.Minute)}
	beat := ipc.Now() - int64(time.Minute)
	if got := c.silence(beat); got < time.Minute {
		t.Errorf("silent for %v, want a minute", got)
	}
	if got := c.silence(0); got != 0 {
		t.Errorf("silent for %v before the first heartbeat", got)
	}
	now := time.Now()
	c.now(now.Add(-time.Minute))
	c.now(now)
	if got := c.silence(beat); got > 30*time.Second {
		t.Errorf("silent for %v just after an absence", got)
	}
}

func TestASuspendedProcessIsDetected(t *testing.T) {
	s := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	pid := s.serves(1).Workers[0].PID
	if readProcess(pid).suspended {
		t.Error("a worker that runs is called suspended")
	}
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.untilLoop("the worker to be suspended", func(*Master) bool { return readProcess(pid).suspended })
	s.untilLoop("the log to say so", func(*Master) bool { return s.log.FilterMessage("worker suspended").Len() == 1 })
	if err := unix.Kill(pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s.untilLoop("the log to say that it runs again", func(*Master) bool { return s.log.FilterMessage("worker continued").Len() == 1 })
	if readProcess(-1).suspended {
		t.Error("a process that does not exist is called suspended")
	}
}
