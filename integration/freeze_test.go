package integration

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// startWithClients starts a server with two workers and one client on each.
func startWithClients(t *testing.T) (s *Server, workers []Worker, clients []*Client) {
	t.Helper()
	c := line(2)
	c.WorkerTimeout, c.DrainTimeout = 2*time.Second, 2*time.Second
	s = Start(t, c)
	workers = s.WaitWorkers(2).Workers
	for held := map[int]bool{}; len(held) < 2; {
		client := s.Dial()
		held[client.WorkerPID()] = true
		clients = append(clients, client)
	}
	return s, workers, clients
}

// checkUnharmed fails if a client lost its connection, a worker was replaced or
// a worker was reported as hung.
func checkUnharmed(t *testing.T, s *Server, workers []Worker, clients []*Client) {
	t.Helper()
	status := s.WaitStatus("heartbeats", func(status *Status) bool {
		for _, w := range status.Workers {
			if w.SilentS > 1 {
				return false
			}
		}
		return len(status.Serving()) == 2
	})
	for i, client := range clients {
		if answer := client.Ask("upper still here"); answer != "STILL HERE" {
			t.Errorf("client %d got %q", i, answer)
		}
	}
	for _, w := range workers {
		if status.Worker(w.PID) == nil {
			t.Errorf("worker %d is gone", w.PID)
		}
	}
	for _, line := range []string{"worker hung", "worker killed"} {
		if n := s.Log.Count("msg", line); n > 0 || status.Totals.Restarts > 0 {
			t.Errorf("%q is logged %d times with %d restarts, want none", line, n, status.Totals.Restarts)
		}
	}
}

// Workers that received SIGSTOP are not killed, and the master does not continue
// them.
func TestSuspendedWorkersAreNotHung(t *testing.T) {
	t.Parallel()
	s, workers, clients := startWithClients(t)
	for _, w := range workers {
		stop(t, w.PID)
	}
	s.WaitStatus("twice the limit to pass", func(status *Status) bool {
		silent := 0
		for _, w := range status.Workers {
			if w.SilentS > 4 {
				silent++
			}
		}
		return silent == 2
	})
	for _, w := range workers {
		kill(t, w.PID, syscall.SIGCONT)
	}
	checkUnharmed(t, s, workers, clients)
	for _, line := range []string{"worker suspended", "worker continued"} {
		Wait(t, fmt.Sprintf("%q of both workers", line), func() (bool, string) {
			return s.Log.Count("msg", line) == 2, Tail(s.Log.Text(), 5)
		})
	}
}

// As in a paused container or a virtual machine that does not run, the master
// and the workers do not run for some time. In this test the master runs again
// first, and finds old heartbeats.
func TestAFreezeOfTheWholeServerLosesNothing(t *testing.T) {
	t.Parallel()
	s, workers, clients := startWithClients(t)
	for _, w := range workers {
		stop(t, w.PID)
	}
	stop(t, s.PID)
	length := time.NewTimer(4 * time.Second) // twice the limit
	<-length.C
	kill(t, s.PID, syscall.SIGCONT)
	Wait(t, "the master to report that it did not run", func() (bool, string) {
		return s.Log.Count("msg", "master did not run") == 1, Tail(s.Log.Text(), 5)
	})
	for _, w := range workers {
		kill(t, w.PID, syscall.SIGCONT)
	}
	checkUnharmed(t, s, workers, clients)
}
