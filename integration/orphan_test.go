package integration

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// If the master is killed, its workers notice, answer the requests that they
// hold and exit.
func TestKilledMasterLeavesNoWorkerAndLosesNoAnswer(t *testing.T) {
	t.Parallel()
	c := line(4)
	c.DrainTimeout, c.DrainIdle = 5*time.Second, 200*time.Millisecond
	s := Start(t, c)
	workers := s.WaitWorkers(4).Workers
	network, address := s.Address("")
	load := startLoads(t.Context(), network, address, PerRequest)[0]
	var inFlight []*Client
	for range 20 {
		client := s.Dial()
		client.WorkerPID()
		client.Send("sleep 700ms")
		inFlight = append(inFlight, client)
	}
	idle := s.Dial()
	idle.WorkerPID()
	waitOK(t, 50, load)
	s.WaitStatus("all connections active", func(status *Status) bool { return status.Totals.Active >= 21 })

	s.Signal(syscall.SIGKILL)
	for i, client := range inFlight {
		if answer := client.Receive(); answer != "slept" {
			t.Errorf("answer to request %d in flight: %q", i, answer)
		}
		_ = client.Close()
	}
	if err := idle.WaitClosed(); Classify(err) != EOF {
		t.Errorf("the idle connection ended with %v, want EOF", err)
	}
	waitGone(t, workers, c.DrainTimeout)
	load.Stop() // its clients are refused now
	if !Refused(network, address) {
		t.Error("the address still accepts connections")
	}
}

// A connection that never ends is cut at the workers' own deadline.
func TestOrphanedWorkersExitAtTheDrainDeadline(t *testing.T) {
	t.Parallel()
	c := line(2)
	c.DrainTimeout = time.Second
	s := Start(t, c)
	workers := s.WaitWorkers(2).Workers
	for range 4 {
		client := s.Dial()
		client.WorkerPID()
		client.Send("hang")
	}
	s.Signal(syscall.SIGKILL)
	waitGone(t, workers, c.DrainTimeout)
}

// waitGone waits until all workers have exited. They have until the drain
// deadline, and Patience is added for a loaded machine.
func waitGone(t *testing.T, workers []Worker, deadline time.Duration) {
	t.Helper()
	alive := func() (pids []int) {
		for _, w := range workers {
			if Alive(w.PID) {
				pids = append(pids, w.PID)
			}
		}
		return pids
	}
	saw, ok := WaitFor(deadline+Patience, func() (bool, string) {
		pids := alive()
		return len(pids) == 0, fmt.Sprint(pids)
	})
	if !ok {
		t.Errorf("workers %s are still alive %v after their master's death", saw, deadline+Patience)
	}
	for _, pid := range alive() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func TestMasterKilledInAnyStateLeavesNoWorker(t *testing.T) {
	for _, state := range []string{"reloading", "probation", "draining"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			c := line(2)
			c.DrainTimeout, c.DrainIdle, c.Probation = time.Second, 100*time.Millisecond, time.Minute
			s := Start(t, c)
			client := s.Dial()
			client.WorkerPID()
			switch state {
			case "reloading":
				c.Program.Boot = "never"
				s.Configure(c)
				s.Signal(syscall.SIGHUP)
				s.Log.WaitText(t, "never ready, on command")
			case "probation":
				s.Signal(syscall.SIGHUP)
			case "draining":
				client.Send("hang")
				s.Signal(syscall.SIGTERM)
			}
			workers := s.WaitState(state).Workers
			for _, pid := range Children(s.PID) {
				workers = append(workers, Worker{PID: pid})
			}
			s.Signal(syscall.SIGKILL)
			waitGone(t, workers, c.DrainTimeout)
		})
	}
}
